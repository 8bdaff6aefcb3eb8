"""What a person reads of `check`: a paragraph a finding, and a last line that sums up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shell.check.finding import Scope, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shell.check.finding import Finding
    from shell.screen import Screen

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow"}


def show_findings(screen: Screen, findings: Sequence[Finding]) -> None:
    """Write every finding: what, why, and what to do."""
    for finding in findings:
        severity = finding.severity
        key = f"{finding.where}: " if finding.where else ""
        screen.marked(
            f"{severity:<8}", _STYLES[severity], f"{_place(finding)} {key}{finding.message} [{finding.rule.id}]"
        )
        screen.line(f"  why   {finding.rule.why}")
        screen.line(f"  fix   {finding.fix}{'  (--fix does it)' if finding.edits else ''}")


def show_diff(screen: Screen, diff: Sequence[str]) -> None:
    """Write what --fix changed."""
    for line in diff:
        screen.line(line)
    if diff:
        screen.line()


def show_sum(screen: Screen, names: Sequence[str], findings: Sequence[Finding], *, mended: bool) -> None:
    """Write the last line; after --fix what is found is what only a person can decide."""
    if any(finding.rule.scope is Scope.PRIVATE and finding.severity is Severity.WARNING for finding in findings):
        screen.line("Nothing says that this app is to be private. If it is, check it with --private.")
    errors = sum(finding.severity is Severity.ERROR for finding in findings)
    counts = ((errors, "error"), (len(findings) - errors, "warning"))
    told = ", ".join(f"{number} {word}{'s' if number != 1 else ''}" for number, word in counts if number)
    screen.line(f"{' and '.join(names)}: {told or 'no problems found'}{' left for you' if told and mended else ''}")


def _place(finding: Finding) -> str:
    return f"{finding.file}:{finding.line}:" if finding.line else f"{finding.file}:"
