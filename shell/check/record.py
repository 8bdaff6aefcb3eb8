"""What a program reads of `check --json`; fields are only ever added under one `schema_version`.

One object on one line: schema_version, command, ok, file, app (null when the file names none), private (whether the app
is known to be private), flyctl (load_error, parse_error, invalid or valid: what flyctl says of the file),
flyctl_messages and flyctl_warnings: [text],
errors, warnings (how many), findings: [{id, severity, file, line, key, message, why, fix, fixable}],
diff: [line] with --fix. severity is error or warning; line is null for the output of `fly ips list`; fixable tells
whether --fix mends it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shell.check.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shell.check.finding import Finding
    from shell.check.judge import Judgement

SCHEMA_VERSION = 1


def check_record(judgement: Judgement, findings: Sequence[Finding], *, ok: bool, diff: Sequence[str]) -> dict[str, Any]:
    """Return the record of `check`."""
    errors = sum(finding.severity is Severity.ERROR for finding in findings)
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "check",
        "ok": ok,
        "file": str(judgement.path),
        "app": judgement.app_name or None,
        "private": judgement.kind_of_app.is_private,
        "flyctl": judgement.verdict.kind,
        "flyctl_messages": [message.text for message in judgement.verdict.errors],
        "flyctl_warnings": [message.text for message in judgement.verdict.warnings],
        "errors": errors,
        "warnings": len(findings) - errors,
        "findings": [_finding(finding) for finding in findings],
        "diff": list(diff),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.rule.id,
        "severity": finding.severity,
        "file": finding.file,
        "line": finding.line or None,
        "key": finding.where or None,
        "message": finding.message,
        "why": finding.rule.why,
        "fix": finding.fix,
        "fixable": bool(finding.edits),
    }
