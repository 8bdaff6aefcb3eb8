"""Whether a Machine whose main process has ended starts again, and when.  Pure.

Rules (docs/fly.md, "Sleep and wake" and "Metrics and logs"):

- `on-failure` with 10 retries is what an app has that says nothing: a status other than 0 restarts it.
- `always` restarts it whatever the status, without a count; `never` never does.
- Retries are counted in a window of five minutes.
- An end that was asked for, by a stop or an autostop, is none of its business.
- The pause before a restart doubles with each one in the window; how long Fly's are is not documented.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

WINDOW_SECONDS = 300.0
_LONGEST_PAUSE_SECONDS = 30.0


class RestartKind(StrEnum):
    """What `policy` may say."""

    ON_FAILURE = "on-failure"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """A `[[restart]]` as it holds for one process group."""

    kind: RestartKind = RestartKind.ON_FAILURE
    retries: int = 10
    first_pause_seconds: float = 0.5


DEFAULT = RestartPolicy()


@dataclass(frozen=True, slots=True)
class Again:
    """Start it once the pause is over."""

    pause_seconds: float


@dataclass(frozen=True, slots=True)
class Rest:
    """Leave it stopped; `reason` is the line for the log."""

    reason: str


def after_exit(policy: RestartPolicy, status: int, restarts: Sequence[float], now: float) -> Again | Rest:
    """Return what follows an end with exit `status`; `restarts` are the times of earlier restarts, in seconds."""
    if policy.kind is RestartKind.NEVER:
        return Rest("machine restart policy set to 'never', not restarting")
    if policy.kind is RestartKind.ON_FAILURE and status == 0:
        return Rest("machine exited with exit code 0, not restarting")
    recent = sum(now - at < WINDOW_SECONDS for at in restarts)
    if policy.kind is RestartKind.ON_FAILURE and recent >= policy.retries:
        return Rest(f"machine has reached its max restart count of {policy.retries}")
    doublings = min(recent, 10)
    return Again(min(policy.first_pause_seconds * 2**doublings, _LONGEST_PAUSE_SECONDS))
