"""Every rule of `check` by its id, and its page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shell.check.addresses import RULES as OF_ADDRESSES
from shell.check.finding import Scope, Severity
from shell.check.judge import RULES as OF_FLY_TOML

if TYPE_CHECKING:
    from shell.check.finding import Rule

RULES: dict[str, Rule] = {rule.id: rule for rule in (*OF_FLY_TOML, *OF_ADDRESSES)}


def page_of(rule: Rule) -> str:
    """Return what a person needs to know of one rule, as Markdown."""
    severity = str(rule.severity)
    if rule.severity is Severity.ERROR and rule.scope is not Scope.EVERY_APP:
        severity += f" for {rule.scope}, at most a warning for others"
    return f"## {rule.id}\n\nSeverity: {severity}.\n\nWhy: {rule.why}\n\nFix: {rule.advice}\n"
