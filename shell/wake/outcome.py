"""What a run of `wake` measured, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from shell.wake.proof import Judgement, Proof, ServerTiming
from shell.wake.spread import Spread, spread_of

if TYPE_CHECKING:
    from shell.phases import Timed
    from shell.wake.plan import Plan, SleepMode

_MAX_SHOWN = 200  # characters of a header


class Kind(StrEnum):
    """What a request was: of the first two one begins each cycle, and the sleep before it decides which."""

    COLD = "cold"
    RESUMED = "resumed"
    WARM = "warm"
    KEPT = "kept"

    @property
    def wakes(self) -> bool:
        """Tell whether such a request meets a sleeping app."""
        return self in {Kind.COLD, Kind.RESUMED}


@dataclass(frozen=True, slots=True)
class Sample:
    """One request, and how sure it is that it was of its kind."""

    kind: Kind
    timed: Timed
    server_timing: ServerTiming
    judgement: Judgement

    @property
    def machine_id(self) -> str:
        """Return the Machine that says it answered, or ""."""
        return self.timed.reply.header("x-machine-id")[:_MAX_SHOWN] if self.timed.reply else ""

    @property
    def refuted(self) -> bool:
        """Tell whether the app's own words say that it was not of its kind."""
        return self.judgement.proof is Proof.NOT_PROVEN


@dataclass(frozen=True, slots=True)
class Cycle:
    """One sleep and what followed it; `mode` is None when the service was not asked to sleep."""

    waited_seconds: float
    samples: tuple[Sample, ...]
    mode: SleepMode | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run: the plan, what was measured, the error that ended it early, or "", and whether that was Ctrl-C."""

    plan: Plan
    cycles: tuple[Cycle, ...]
    error: str = ""
    interrupted: bool = False

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Return all requests in order."""
        return tuple(sample for cycle in self.cycles for sample in cycle.samples)

    @property
    def well(self) -> bool:
        """Tell whether all was measured, no answer was an error and no cold request was refuted."""
        return not (self.error or self.doubt) and not any(
            sample.kind.wakes and sample.refuted for sample in self.samples
        )

    @property
    def doubt(self) -> str:
        """Say how many answers were errors, which are timed like every other, or "" when none was."""
        statuses = [sample.timed.reply.status for sample in self.samples if sample.timed.reply]
        errors = [status for status in statuses if status >= self.plan.fail_from]
        if not errors:
            return ""
        which = ", ".join(map(str, sorted(set(errors))))
        counted, path = f"{len(errors)} of {len(statuses)}", self.plan.target.path
        return (
            f"{counted} answers were errors ({which}), timed all the same: is {path} what you meant? "
            "With --fail-on 5xx they are as good as any"
        )

    def counted(self, kind: Kind) -> tuple[Sample, ...]:
        """Return the requests of one kind, without those that are refuted to be of it."""
        return tuple(sample for sample in self.samples if sample.kind is kind and not sample.refuted)

    def spread(self, kind: Kind) -> Spread | None:
        """Return the spread of the totals of what `counted` returns, or None when that is nothing."""
        return spread_of([sample.timed.total_ms for sample in self.counted(kind)])
