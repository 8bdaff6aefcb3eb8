"""How times spread.

Rule: p90 is the nearest rank, the smallest time that at least nine in ten do not exceed; it is one of the times
measured, and of fewer than ten it is the largest.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Spread:
    """How many times, and how they spread, in ms."""

    count: int
    min_ms: float
    median_ms: float
    p90_ms: float
    max_ms: float


def spread_of(times_ms: Sequence[float]) -> Spread | None:
    """Return the spread of some times, or None when there are none."""
    if not times_ms:
        return None
    ordered = sorted(times_ms)
    rank = -(-len(ordered) * 9 // 10)
    return Spread(len(ordered), ordered[0], median(ordered), ordered[rank - 1], ordered[-1])
