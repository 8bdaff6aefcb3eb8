"""How long this Machine was awake, and how long it was suspended.

A suspended Machine notices nothing. After the resume, one of its clocks has made a step:

- the monotonic clock, when the process was stopped and the kernel was not (SIGSTOP, a freezer);
- the wall clock alone, when the whole Machine was a snapshot and its clock was set right on resume (docs/fly.md,
  "Sleep and wake": it may lag for seconds). A clock that somebody sets forward looks the same.

So the clocks are read often, and a step larger than `STEP_SECONDS` between two readings is a resume. A clock that is
set back is no resume, nor is one that only makes up for what it lagged. The first reading is no more than a start: a
process that imports for long was not suspended.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from private_svc.boot import clock

if TYPE_CHECKING:
    from collections.abc import Callable

CHECK_SECONDS = 1.0  # how often departure.py reads the clocks
RESOLUTION_SECONDS = 0.0001  # finer differences of times since 1970 are errors of rounding
STEP_SECONDS = 5.0  # code that blocks the event loop for longer is taken for a suspension


class Awake:
    """Counts the resumes; times in seconds of the monotonic clock, which is `boot.clock`."""

    def __init__(
        self, monotonic_clock: Callable[[], float] = clock, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._monotonic_clock = monotonic_clock
        self._wall_clock = wall_clock
        self._last_s: float | None = None
        self._most_ahead_s = 0.0  # how far the wall clock has been ahead of the monotonic clock, at most
        self._resumed_s: float | None = None
        self._passed_here_s = 0.0  # the part of the suspended time that the monotonic clock counted
        self.resumes = 0
        self.suspended_seconds = 0.0

    @property
    def resumed_s(self) -> float | None:
        """When the last resume was noticed, or None; reads the clocks, for the first answer after a resume."""
        self.read_clocks()
        return self._resumed_s

    def read_clocks(self) -> bool:
        """Return whether the Machine was suspended since the last reading."""
        now_s = self._monotonic_clock()
        ahead_s = self._wall_clock() - now_s
        if self._last_s is None:
            self._last_s, self._most_ahead_s = now_s, ahead_s
        monotonic_step_s = slept_s = now_s - self._last_s
        self._last_s = now_s
        if ahead_s > self._most_ahead_s:
            slept_s += ahead_s - self._most_ahead_s
            self._most_ahead_s = ahead_s
        if slept_s <= STEP_SECONDS + RESOLUTION_SECONDS:
            return False
        self.resumes += 1
        self._resumed_s = now_s
        self.suspended_seconds += round(slept_s, 4)
        if monotonic_step_s > STEP_SECONDS:
            self._passed_here_s += monotonic_step_s
        return True

    def awake_seconds(self, since_s: float) -> float:
        """Return the seconds from `since_s`, before the first reading, until now, without those spent suspended."""
        return self._monotonic_clock() - since_s - self._passed_here_s
