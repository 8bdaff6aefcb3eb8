"""Name what has become worse since a saved run.

Rule: a row has regressed when its median is worse by more than 3 joint MADs (the root of the sum of both squares) and
by more than 5 % of the saved median.  Of fewer than 3 rounds on either side nothing can be told.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot
from statistics import median
from typing import TYPE_CHECKING

from tests.bench.row import Better, mad

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.bench.row import Result

JOINT_MADS = 3.0
LEAST_SHARE = 0.05
LEAST_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Regression:
    """One row that is worse than it was, beyond the noise."""

    name: str
    was: float
    now: float
    noise: float

    def __str__(self) -> str:
        """Say it on a line."""
        share = f", {(self.now - self.was) / abs(self.was):+.0%}" if self.was else ""
        return f"{self.name}: {self.was:.4g} -> {self.now:.4g}{share}; the noise is {self.noise:.2g}"


def regressions(results: Iterable[Result], saved: Mapping[str, Sequence[float]]) -> list[Regression]:
    """Return the rows that are worse than in `saved`, which has the figures of each row's rounds."""
    return [found for each in results if (found := _regression(each, saved.get(each.row.name, ())))]


def _regression(result: Result, before: Sequence[float]) -> Regression | None:
    if min(len(before), len(result.rounds)) < LEAST_ROUNDS:
        return None
    was, now = median(before), result.figure
    worse_by = now - was if result.row.better is Better.LESS else was - now
    noise = JOINT_MADS * hypot(mad(before), result.mad)
    if worse_by > noise and worse_by > LEAST_SHARE * abs(was):
        return Regression(result.row.name, was, now, noise)
    return None
