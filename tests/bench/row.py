"""What one row of the benchmark says, and what came of measuring it.

Rules: a figure is made of one round, in which ours and the peer were measured right after one another; RATIO is
ours / peer, ADDED is ours - peer, ALONE is ours.  A row's figure is the median over its rounds, its spread the median
absolute deviation (MAD) from that.  A target is met when the median meets it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager


class BenchError(Exception):
    """A row could not be measured; the message says why."""


class Compared(StrEnum):
    """How a figure is made of ours and the peer's."""

    RATIO = "ratio"
    ADDED = "added"
    ALONE = "alone"


class Better(StrEnum):
    """Which figure is the better one; a target is the most or the least there may be."""

    LESS = "less"
    MORE = "more"


@dataclass(frozen=True, slots=True)
class Pair:
    """How to take one sample of ours and one of the peer's."""

    ours: Callable[[], float]
    peer: Callable[[], float] | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One claim: a name for --row, what is measured in which unit, the peer and the target."""

    name: str
    title: str
    unit: str
    peer: str
    compared: Compared
    better: Better
    target: float | None
    measure: Callable[[], AbstractContextManager[Pair]]
    needs: tuple[str, ...] = ()  # programs
    rounds: int | None = None  # when not as many as the others
    asked: bool = False  # measured only when named: it takes minutes

    def figure(self, ours: float, peer: float | None) -> float:
        """Make a figure of one round."""
        if peer is None or self.compared is Compared.ALONE:
            return ours
        return ours / peer if self.compared is Compared.RATIO else ours - peer


@dataclass(frozen=True, slots=True)
class Round:
    """One sample of ours and, where there is a peer, of the peer's right after it."""

    ours: float
    peer: float | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a row: its rounds, or why there are none."""

    row: Row
    rounds: tuple[Round, ...] = ()
    why_not: str = ""

    @property
    def figures(self) -> tuple[float, ...]:
        """Return a figure a round."""
        return tuple(self.row.figure(each.ours, each.peer) for each in self.rounds)

    @property
    def figure(self) -> float:
        """Return the middle figure."""
        return median(self.figures)

    @property
    def mad(self) -> float:
        """Return the spread of the figures."""
        return mad(self.figures)

    @property
    def met(self) -> bool | None:
        """Tell whether the target is met; None when there is no target or no round."""
        if self.row.target is None or not self.rounds:
            return None
        return self.figure <= self.row.target if self.row.better is Better.LESS else self.figure >= self.row.target


def mad(values: Sequence[float]) -> float:
    """Return the median absolute deviation from the median."""
    middle = median(values)
    return median(abs(value - middle) for value in values)
