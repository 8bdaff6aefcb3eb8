"""The boot phases as a bar: what part of it each one took.

A phase lasts from the one reached before it, so the bar has no gap. Who connects decides when the first accept and the
first response happen, and that may be an hour after the boot: what is later than twice the boot is left out of the bar.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

WIDTH = 1000  # units of the bar


@dataclass(frozen=True, slots=True)
class Part:
    """A phase: when it was reached, how long it took, and where it is in the bar; no width when it is not."""

    phase: str
    at_ms: float
    took_ms: float
    x: float
    width: float


def parts(boot_ms: Mapping[str, float]) -> list[Part]:
    """Return the phases in the order in which they were reached; times in milliseconds since exec."""
    reached = sorted(boot_ms.items(), key=lambda item: item[1])
    latest_ms = 2 * boot_ms.get("serving", float("inf"))
    end_ms = max((ms for _, ms in reached if ms <= latest_ms), default=0.0) or 1.0
    found, before_ms = [], 0.0
    for phase, ms in reached:
        x, end = (min(WIDTH, round(at / end_ms * WIDTH, 1)) for at in (before_ms, ms))
        found.append(Part(phase, ms, round(ms - before_ms, 1), x, round(end - x, 1)))
        before_ms = ms
    return found
