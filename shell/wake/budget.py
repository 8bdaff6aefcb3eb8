"""What the times may be: `cold=2000,warm.p90=50`, in ms, each against the median unless it says otherwise.

Rules: a time equal to its limit is within it; a limit on what was not measured is a breach, because nobody knows.
"""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from shell.wake.outcome import Kind

if TYPE_CHECKING:
    from shell.wake.outcome import Outcome

_MS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,3})?")


class Statistic(StrEnum):
    """Which of a kind's times is limited."""

    MEDIAN = "median"
    MIN = "min"
    P90 = "p90"
    MAX = "max"


@dataclass(frozen=True, slots=True)
class Limit:
    """The most that one time may be."""

    kind: Kind
    statistic: Statistic
    limit_ms: float


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit that was not kept; `measured_ms` is None when there was nothing to measure."""

    limit: Limit
    measured_ms: float | None

    def __str__(self) -> str:
        """Say what was allowed and what came."""
        name = f"{self.limit.kind} {self.limit.statistic}"
        if self.measured_ms is None:
            return f"over budget: {name} may be {self.limit.limit_ms:g} ms, but no such request was measured"
        return f"over budget: {name} is {self.measured_ms:.1f} ms, more than {self.limit.limit_ms:g} ms"


def read_budget(text: str) -> tuple[Limit, ...]:
    """Read `KIND[.STATISTIC]=MS,…`; raise `ArgumentTypeError`."""
    limits: dict[tuple[Kind, Statistic], Limit] = {}
    for item in text.split(","):
        limit = _limit(item.strip())
        if (limit.kind, limit.statistic) in limits:
            raise ArgumentTypeError(f"expected one limit for {limit.kind}.{limit.statistic}, got two")
        limits[limit.kind, limit.statistic] = limit
    return tuple(limits.values())


def breaches_of(limits: tuple[Limit, ...], outcome: Outcome) -> tuple[Breach, ...]:
    """Return the limits that were not kept, in order."""
    found = (Breach(limit, _measured_ms(limit, outcome)) for limit in limits)
    return tuple(breach for breach in found if breach.measured_ms is None or breach.measured_ms > breach.limit.limit_ms)


def _limit(item: str) -> Limit:
    key, _, value = item.partition("=")
    kind, dot, statistic = key.partition(".")
    if not dot:
        statistic = Statistic.MEDIAN
    if kind not in set(Kind) or statistic not in set(Statistic):
        kinds, statistics = "|".join(Kind), "|".join(Statistic)
        raise ArgumentTypeError(f"expected {kinds}, then perhaps .{statistics}, got {key!r}")
    if not _MS.fullmatch(value):
        raise ArgumentTypeError(f"expected milliseconds in {key}=MS, got {value!r}")
    return Limit(Kind(kind), Statistic(statistic), float(value))


def _measured_ms(limit: Limit, outcome: Outcome) -> float | None:
    spread = outcome.spread(limit.kind)
    if spread is None:
        return None
    return {
        Statistic.MEDIAN: spread.median_ms,
        Statistic.MIN: spread.min_ms,
        Statistic.P90: spread.p90_ms,
        Statistic.MAX: spread.max_ms,
    }[limit.statistic]
