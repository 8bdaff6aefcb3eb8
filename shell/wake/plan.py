"""What `wake` is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shell.phases import Target


class SleepMode(StrEnum):
    """How a Machine sleeps: stopped its process is gone, suspended it is in memory."""

    STOP = "stop"
    SUSPEND = "suspend"


@dataclass(frozen=True, slots=True)
class Plan:
    """Do `cycles` times for each mode: sleep, one cold request, `warm_count` warm ones, as many on one connection.

    Without modes the app falls asleep by itself; with them the service is asked to sleep. An HTTP status from
    `fail_from` on is an error of the app.
    """

    target: Target
    cycles: int = 1
    warm_count: int = 5
    wait_seconds: float = 600.0
    modes: tuple[SleepMode, ...] = ()
    fail_from: int = 400

    @property
    def sleeps(self) -> tuple[SleepMode | None, ...]:
        """Return how each cycle begins: the modes in turn, so that a drifting network is unfair to none."""
        return (self.modes or (None,)) * self.cycles
