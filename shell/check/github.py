"""Annotations for GitHub Actions: a workflow command a finding, on stdout.

Rules (docs.github.com, "Workflow commands"): `%`, CR and LF of a text are written as %25, %0D and %0A, in a property
`:` and `,` too, so that no text from the file can pass for a command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shell.escape import printable

if TYPE_CHECKING:
    from shell.check.finding import Finding


def annotation(finding: Finding) -> str:
    """Return the line for one finding."""
    properties = {
        "file": finding.file,
        **({"line": str(finding.line)} if finding.line else {}),
        "title": finding.rule.id,
    }
    given = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{finding.severity} {given}::{_text(f'{finding.message}. {finding.rule.why} Fix: {finding.fix}')}"


def _text(text: str) -> str:
    return printable(text).replace("%", "%25")


def _property(text: str) -> str:
    return _text(text).replace(":", "%3A").replace(",", "%2C")
