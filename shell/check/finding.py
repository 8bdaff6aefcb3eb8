"""What a rule is, and what it found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Errors decide the exit status; warnings only with --strict."""

    ERROR = "error"
    WARNING = "warning"


class Scope(StrEnum):
    """The apps for which the breach of a rule has the rule's severity; for every other app it is a warning."""

    EVERY_APP = "every app"
    PRIVATE = "an app that is known to be private"
    BLUEPRINT = "the service of this blueprint"


@dataclass(frozen=True, slots=True)
class Edit:
    """A value to write at a key path of fly.toml."""

    where: str
    value: str | bool


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: its stable id, the consequence of breaking it, and what to do, one sentence each."""

    id: str
    severity: Severity
    why: str
    advice: str
    scope: Scope = Scope.EVERY_APP

    def broken(self, where: str, message: str, fix: str, *edits: Edit) -> Finding:
        """Return the finding at a key path; `edits` are what --fix may write, none where only a person can tell."""
        return Finding(self, self.severity, where, message, fix, edits)


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken rule; `file` and `line` (from 1) are filled in when it is placed, line 0 is the file as a whole."""

    rule: Rule
    severity: Severity
    where: str
    message: str
    fix: str
    edits: tuple[Edit, ...] = ()
    file: str = ""
    line: int = 0


def error(rule_id: str, why: str, advice: str, scope: Scope = Scope.EVERY_APP) -> Rule:
    """Return a rule whose breach is an error in its scope, and a warning elsewhere."""
    return Rule(rule_id, Severity.ERROR, why, advice, scope)


def warning(rule_id: str, why: str, advice: str) -> Rule:
    """Return a rule whose breach is a warning."""
    return Rule(rule_id, Severity.WARNING, why, advice)
