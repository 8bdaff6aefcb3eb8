"""Cycles of one cold request and some warm ones, each cycle begun only when every Machine sleeps.

Rules
- A cold request is made right after DNS showed no started Machine; whether it was cold is judged by `proof`.
- Every request has a connection of its own; warm ones follow the cold one at once.
- 5xx and a redirect to https are not times of a working app: they end the run. Any other answer counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import TYPE_CHECKING

from shell.asleep import Watch, look_at
from shell.errors import NotWellError
from shell.phases import Edge, Target, Timed, time_request
from shell.proof import Judgement, Proof, ServerTiming, judge_cold, judge_warm, read_server_timing

if TYPE_CHECKING:
    from collections.abc import Callable

    from shell.http_reply import Reply
    from shell.progress import Progress

_SERVER_ERROR, _UNAVAILABLE = 500, 503
_REDIRECTS = {301, 302, 307, 308}
_MAX_SHOWN = 200  # characters of a header in a message


class Kind(StrEnum):
    """What a request was meant to be."""

    COLD = "cold"
    WARM = "warm"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: `cycles` times, wait for sleep, one cold request, `warm_count` warm ones."""

    target: Target
    cycles: int = 1
    warm_count: int = 5
    wait_seconds: float = 600.0


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
    """One sleep and what followed it."""

    waited_seconds: float
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Spread:
    """Smallest, middle and largest of `count` times, in milliseconds."""

    count: int
    min_ms: float
    median_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that was measured, and the reason why it ended early, or ""."""

    plan: Plan
    cycles: tuple[Cycle, ...]
    error: str = ""

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Return all requests in order."""
        return tuple(sample for cycle in self.cycles for sample in cycle.samples)

    @property
    def well(self) -> bool:
        """Tell whether all was measured and no cold request was refuted."""
        return not self.error and not any(sample.kind is Kind.COLD and sample.refuted for sample in self.samples)

    def counted(self, kind: Kind) -> tuple[Sample, ...]:
        """Return the requests of one kind, without those that are refuted to be of it."""
        return tuple(sample for sample in self.samples if sample.kind is kind and not sample.refuted)

    def spread(self, kind: Kind) -> Spread | None:
        """Return the spread of the totals of what `counted` returns, or None when that is nothing."""
        totals_ms = [sample.timed.total_ms for sample in self.counted(kind)]
        return Spread(len(totals_ms), min(totals_ms), median(totals_ms), max(totals_ms)) if totals_ms else None


def run(plan: Plan, edge: Edge, pause: Callable[[float], None], progress: Progress) -> Outcome:
    """Carry out the plan; what was measured before a failure is kept."""
    watch = Watch(lambda: look_at(plan.target.app_name, edge.ask), edge.clock, pause)
    cycles: list[Cycle] = []
    try:
        for n in range(plan.cycles):
            if n:
                watch.until_seen_up()
            waited_seconds = watch.until_asleep(plan.wait_seconds, progress)
            samples: list[Sample] = []
            try:
                samples.append(_sample(Kind.COLD, plan.target, edge))
                samples.extend(_sample(Kind.WARM, plan.target, edge) for _ in range(plan.warm_count))
            finally:
                cycles.append(Cycle(waited_seconds, tuple(samples)))
    except NotWellError as error:
        return Outcome(plan, tuple(cycles), str(error))
    return Outcome(plan, tuple(cycles))


def trouble_in(reply: Reply) -> str:
    """Say why a response is not that of a working app; "" when it is."""
    location = reply.header("location")[:_MAX_SHOWN]
    if reply.status in _REDIRECTS and location.lower().startswith("https:"):
        return (
            f"{reply.status} redirect to {location}: force_https is on and a Flycast address has no "
            "certificate; remove force_https from fly.toml and deploy again"
        )
    if reply.status == _UNAVAILABLE:
        return "503 unavailable: no Machine could be started or reached in time; `fly logs` says why"
    if reply.status >= _SERVER_ERROR:
        return f"{reply.status}: the app or the proxy failed"
    return ""


def _sample(kind: Kind, target: Target, edge: Edge) -> Sample:
    timed = time_request(target, edge)
    trouble = trouble_in(timed.reply) if timed.reply else ""
    if trouble:
        raise NotWellError(f"{target} [{timed.address}]: {trouble} (after {timed.total_ms:.0f} ms)")
    timing = read_server_timing(timed.reply.header("server-timing") if timed.reply else "")
    judge = judge_cold if kind is Kind.COLD else judge_warm
    return Sample(kind, timed, timing, judge(timing, timed))
