"""What was measured at growing numbers, and where the knee is.  Pure.

Rule of the knee: what one more costs is told by the first decade, from the first point to the first one at ten times
its number or more whose cost rose by more than the figure's noise.  The knee is the first point after that where one
more costs at least `STEEPER` times as much, and does so at the next point too: a single slow round is no knee.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

STEEPER = 1.5
DECADE = 10


@dataclass(frozen=True, slots=True)
class Figure:
    """One column: a cost of all things together or, with `each`, of one; or, without `noise`, no cost at all."""

    key: str
    heading: str
    digits: int
    noise: float | None = None  # a rise of the cost of all that tells nothing
    each: bool = False
    of_rounds: Callable[[list[float]], float] = min  # other work on the machine only ever adds to a cost

    @property
    def unit(self) -> str:
        """Return what follows the last comma of the heading."""
        return self.heading.rpartition(", ")[2]


@dataclass(frozen=True, slots=True)
class Knee:
    """Where one more begins to cost more: how much it costs there and did at first, in the figure's unit."""

    count: int
    at_first: float
    there: float


@dataclass(frozen=True, slots=True)
class Point:
    """What every round measured at one number of things."""

    count: int
    rounds: tuple[Mapping[str, float], ...]

    def value(self, figure: Figure) -> float:
        """Return what counts of all rounds."""
        return figure.of_rounds([values[figure.key] for values in self.rounds])


@dataclass(frozen=True, slots=True)
class Series:
    """One run over growing numbers: when, by which command, on what, and what it found."""

    what: str
    date: str
    command: str
    machine: str
    points: tuple[Point, ...]
    left_out: str = ""  # why numbers that were asked for are missing

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Series:
        """Return what `as_json` gave."""
        points = tuple(Point(point["count"], tuple(point["rounds"])) for point in values["points"])
        return cls(**{**values, "points": points})


def slope(costs: Sequence[tuple[int, float]], noise: float) -> tuple[float, int] | None:
    """Return what one more costs at first, and the index of the point it was told by; None when nothing rose."""
    first, cost = costs[0]
    for index, (count, risen) in enumerate(costs):
        if count >= DECADE * first and risen - cost > noise:
            return (risen - cost) / (count - first), index
    return None


def knee(costs: Sequence[tuple[int, float]], noise: float) -> Knee | None:
    """Return the knee of (number, cost) pairs in the order of number, or None when there is none."""
    found = slope(costs, noise)
    if found is None:
        return None
    at_first, told_by = found
    after = costs[told_by:]
    marginal = [((cost - before) / (count - fewer), count) for (fewer, before), (count, cost) in pairwise(after)]
    for (there, count), (later, _) in zip(marginal, [*marginal[1:], *marginal[-1:]], strict=False):
        if min(there, later) >= STEEPER * at_first:
            return Knee(count, at_first, there)
    return None


def costs(series: Series, figure: Figure) -> list[tuple[int, float]]:
    """Return by number what all of them cost together."""
    return [(point.count, point.value(figure) * (point.count if figure.each else 1)) for point in series.points]
