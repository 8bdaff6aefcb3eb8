"""How long this Machine was awake, told apart from how long it was suspended.

A suspended Machine notices nothing; afterwards one of the clocks has made a step that nobody saw pass:

- the steady clock, when the process was stopped and the kernel was not (SIGSTOP, a freezer);
- the wall clock alone, when the whole Machine was a snapshot and its clock was set right on resume (FLY_FACTS section
  5: it may lag for seconds). Somebody who sets the clock forward looks the same.

So whoever wants to know looks often; a step larger than `STEP_SECONDS` between two looks is a resume. A clock that is
set back is no resume.
"""

from __future__ import annotations

import time

from private_svc.boot import clock

LOOK_SECONDS = 1.0  # how often the lifecycle looks
STEP_SECONDS = 5.0  # a loop that is merely busy is not suspended


class Awake:
    """Counts the resumes; times in seconds of `boot.clock`."""

    def __init__(self, now_s: float | None = None, wall_s: float | None = None) -> None:
        self._last_s = clock() if now_s is None else now_s
        self._last_wall_s = time.time() if wall_s is None else wall_s
        self.resumes = 0
        self.resumed_s: float | None = None
        self.suspended_seconds = 0.0
        self._passed_here_s = 0.0  # of it, what the steady clock counted

    def look(self, now_s: float | None = None, wall_s: float | None = None) -> bool:
        """Return whether the Machine was suspended since the last look."""
        now_s = clock() if now_s is None else now_s
        wall_s = time.time() if wall_s is None else wall_s
        steady_step_s, wall_step_s = now_s - self._last_s, wall_s - self._last_wall_s
        self._last_s, self._last_wall_s = now_s, wall_s
        slept_s = max(steady_step_s, wall_step_s)
        if slept_s <= STEP_SECONDS:
            return False
        self.resumes += 1
        self.resumed_s = now_s
        self.suspended_seconds += slept_s
        if steady_step_s > STEP_SECONDS:
            self._passed_here_s += steady_step_s
        return True

    def awake_seconds(self, since_s: float) -> float:
        """Return the seconds from `since_s`, before the first look, until now, without those spent suspended."""
        return clock() - since_s - self._passed_here_s
