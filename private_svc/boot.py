"""How this process came up, in phases: exec, bound, imported, serving, first accept, first response.

"Boot" ends when the admin listener answers, not when its port is bound: the kernel holds callers in between, and
what Python spends importing must not be blamed on the platform.

Source of the origin: field 22 of /proc/self/stat (proc(5)), the start of the process in 10 ms ticks of CLOCK_BOOTTIME.
A process is at least as old as the CPU time that it has used, which is a second bound: the error is below one tick.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False  # importing typing costs milliseconds before the bind
if TYPE_CHECKING:
    from typing import Literal

    Phase = Literal["bound", "imported", "serving", "first_accept", "first_response"]

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def clock() -> float:
    """Return seconds on the clock that phases are measured with."""
    return time.clock_gettime(_CLOCK)


def process_start(now_s: float, cpu_s: float, start_ticks: int | None, ticks_per_second: int) -> float:
    """Return when the process started, in seconds of `clock()`, from its start tick and its CPU time."""
    latest = now_s - cpu_s
    if start_ticks is None:
        return latest
    tick_s = start_ticks / ticks_per_second
    return max(tick_s, min(latest, tick_s + 1 / ticks_per_second))


def _start_ticks() -> int | None:
    try:
        with open("/proc/self/stat", encoding="ascii", errors="replace") as stat:  # noqa: PTH123 - no pathlib yet
            return int(stat.read().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def origin() -> float:
    """Return when this process started, in seconds of `clock()`, good to one tick (10 ms)."""
    return process_start(clock(), time.process_time(), _start_ticks(), os.sysconf("SC_CLK_TCK"))


class Boot:
    """The phases reached so far."""

    __slots__ = ("_boot_timing", "_origin_s", "phases_ms")

    def __init__(self, origin_s: float) -> None:
        self._origin_s = origin_s
        self._boot_timing = "boot;dur=0.0"
        self.phases_ms: dict[Phase, float] = {}

    def stamp(self, phase: Phase) -> None:
        """Note that `phase` is reached now; only the first time counts."""
        if phase not in self.phases_ms:
            self.phases_ms[phase] = self.age_ms()
            if phase == "serving":
                self._boot_timing = f"boot;dur={self.phases_ms[phase]:.1f}"

    def age_ms(self) -> float:
        """Return milliseconds since exec."""
        return (clock() - self._origin_s) * 1000

    def server_timing(self, resumed_s: float | None) -> str:
        """Return the value of `Server-Timing`: milliseconds from exec to serving, since exec, and since a resume."""
        said = f"{self._boot_timing}, age;dur={self.age_ms():.1f}"
        return said if resumed_s is None else f"{said}, resumed;dur={(clock() - resumed_s) * 1000:.1f}"
