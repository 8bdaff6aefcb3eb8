"""From milliseconds to places on a line, with round numbers along it.

Rule: ticks are 1, 2 or 5 times a power of ten apart, six at most, from 0 to the first that covers the longest time.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from math import ceil

_MAX_TICKS = 6
_LEAST_MS = 0.1
_ROUNDING = 1e-9  # of a step: 0.1 / 0.02 may come out a little above 5


@dataclass(frozen=True, slots=True)
class Scale:
    """A line from 0 to `end_ms`, `length` long, a tick every `step_ms`."""

    step_ms: float
    end_ms: float
    length: float

    def place(self, time_ms: float) -> float:
        """Return how far along the line a time is."""
        return min(max(time_ms, 0.0), self.end_ms) / self.end_ms * self.length

    @property
    def ticks_ms(self) -> tuple[float, ...]:
        """Return the times that have a tick."""
        return tuple(n * self.step_ms for n in range(round(self.end_ms / self.step_ms) + 1))


def scale_for(longest_ms: float, length: float) -> Scale:
    """Return a scale that covers a time."""
    longest_ms = max(longest_ms, _LEAST_MS)
    steps = (factor * 10.0**power for power in count(-2) for factor in (1, 2, 5))
    step_ms = next(step for step in steps if longest_ms / step <= _MAX_TICKS - 1 + _ROUNDING)
    steps_to_end = ceil(longest_ms / step_ms - _ROUNDING)
    return Scale(step_ms, step_ms * steps_to_end, length)
