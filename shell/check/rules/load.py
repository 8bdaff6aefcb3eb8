"""How much work a Machine takes.

Rules (docs/fly.md, "Proxy"; flyctl checks neither)
- Load is counted in `requests` or `connections`; below the soft limit a Machine is preferred, at the
  hard one it gets no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shell.check.finding import warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shell.check.finding import Finding
    from shell.check.subject import Subject
    from shell.flytoml.table import Table

TYPES = ("connections", "requests")

UNKNOWN_CONCURRENCY = warning(
    "unknown-concurrency",
    "flyctl lets it pass, and the load is not counted the way you meant.",
    'Write type = "requests" for HTTP, type = "connections" for anything else.',
)
SOFT_ABOVE_HARD = warning(
    "soft-above-hard",
    "The hard limit is reached first: callers queue before another Machine is preferred.",
    "Give soft_limit a number below hard_limit.",
)
RULES = (UNKNOWN_CONCURRENCY, SOFT_ABOVE_HARD)


def findings(subject: Subject) -> Iterator[Finding]:
    """Judge `concurrency`."""
    for service in subject.services:
        place, limits = f"{service.where}.concurrency", service.concurrency
        if limits.type not in TYPES:
            message = f"expected connections or requests, got {limits.type!r:.60}"
            yield UNKNOWN_CONCURRENCY.broken(f"{place}.type", message, 'type = "requests"')
        if (
            _says_soft(subject.tables[service.where])
            and limits.hard_limit is not None
            and limits.soft_limit > limits.hard_limit
        ):
            message = f"expected soft_limit at most hard_limit, got {limits.soft_limit} and {limits.hard_limit}"
            yield SOFT_ABOVE_HARD.broken(f"{place}.soft_limit", message, "a soft_limit below hard_limit")


def _says_soft(table: Table) -> bool:
    """Tell a soft limit that is written from the default."""
    limits = table.values.get("concurrency")
    return isinstance(limits, str) or "soft_limit" in (table.table("concurrency") or table).values
