"""What a rule is, and what it found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Errors decide the exit status; warnings only with --strict."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Edit:
    """A value to write at a key path of fly.toml."""

    where: str
    value: str | bool


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: its stable id, and one sentence that names the consequence of breaking it."""

    id: str
    severity: Severity
    why: str

    def broken(self, where: str, message: str, fix: str, *edits: Edit) -> Finding:
        """Return the finding at a key path; `edits` are what --fix may write, none where only a person can tell."""
        return Finding(self, where, message, fix, edits)


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken rule; `file` and `line` (from 1) are filled in when it is placed, line 0 is the file as a whole."""

    rule: Rule
    where: str
    message: str
    fix: str
    edits: tuple[Edit, ...] = ()
    file: str = ""
    line: int = 0


def error(rule_id: str, why: str) -> Rule:
    """Return a rule whose breach is an error."""
    return Rule(rule_id, Severity.ERROR, why)


def warning(rule_id: str, why: str) -> Rule:
    """Return a rule whose breach is a warning."""
    return Rule(rule_id, Severity.WARNING, why)
