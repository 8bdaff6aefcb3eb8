"""Findings as SARIF 2.1.0 (OASIS), which code scanning takes.

Rules: a location is a relative, percent-encoded URI, or a file: URI for a path from the root; lines count from 1, and a
result about a whole file has no region.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from shell import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shell.check.finding import Finding, Rule

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif(rules: Sequence[Rule], findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the log with one run."""
    driver = {"name": "flycast-probe check", "version": __version__, "rules": [_rule(rule) for rule in rules]}
    numbers = {rule.id: number for number, rule in enumerate(rules)}
    results = [_result(finding, numbers[finding.rule.id]) for finding in findings]
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.why},
        "defaultConfiguration": {"level": str(rule.severity)},
    }


def _result(finding: Finding, rule_number: int) -> dict[str, Any]:
    location: dict[str, Any] = {"artifactLocation": {"uri": _uri(finding.file)}}
    if finding.line:
        location["region"] = {"startLine": finding.line}
    return {
        "ruleId": finding.rule.id,
        "ruleIndex": rule_number,
        "level": str(finding.severity),
        "message": {"text": f"{finding.message}. {finding.rule.why} Fix: {finding.fix}"},
        "locations": [{"physicalLocation": location}],
    }


def _uri(file: str) -> str:
    path = PurePath(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())
