"""The spread of a series of times."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Spread:
    """Smallest, middle and largest of `count` times, in milliseconds."""

    count: int
    min_ms: float
    median_ms: float
    max_ms: float


def spread_of(times_ms: Sequence[float]) -> Spread | None:
    """Return the spread, or None when there is nothing to measure."""
    if not times_ms:
        return None
    return Spread(len(times_ms), min(times_ms), median(times_ms), max(times_ms))
