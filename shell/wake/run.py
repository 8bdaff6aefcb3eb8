"""Cycles of one cold request and some warm ones, each cycle begun only when every Machine sleeps.

Rules
- A cold request is made right after DNS showed no started Machine; whether it was cold is judged by `proof`.
- Cold and warm requests have a connection each and follow one another at once; then as many warm ones share one.
- Who asks the service to sleep knows how it sleeps only if it was up: what sleeps already is woken first.
- 5xx and a redirect to https are not times of a working app: they end the run. Any other answer counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from shell.asleep import LookFailedError, Watch, leave_alone, look_at
from shell.errors import NotWellError
from shell.phases import Edge, Protocols, Timed, time_kept, time_request
from shell.wake.outcome import Cycle, Kind, Outcome, Sample
from shell.wake.plan import SleepMode
from shell.wake.proof import Asleep, Judgement, ServerTiming, judge_cold, judge_warm, read_server_timing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shell.http_reply import Reply
    from shell.progress import Progress
    from shell.wake.plan import Plan
    from shell.wake.put_to_sleep import Sandman

_SERVER_ERROR, _UNAVAILABLE = 500, 503
_REDIRECTS = {301, 302, 307, 308}
_MAX_SHOWN = 200  # characters of a header in a message


def run(
    plan: Plan,
    edge: Edge,
    pause: Callable[[float], None],
    progress: Progress,
    sandman_for: Callable[[SleepMode], Sandman] | None = None,
) -> Outcome:
    """Carry out the plan, which needs a sandman if it has modes; a failure or Ctrl-C keeps what was measured."""
    watch = Watch(lambda: look_at(plan.target.app_name, edge.ask), edge.clock, pause)
    running = _Run(plan, edge, watch, progress, sandman_for)
    try:
        if plan.modes and not watch.look().started:
            running.request()
        for mode in plan.sleeps:
            running.cycle(mode)
    except NotWellError as error:
        return Outcome(plan, tuple(running.cycles), str(error))
    except KeyboardInterrupt:
        return Outcome(plan, tuple(running.cycles), "interrupted", interrupted=True)
    return Outcome(plan, tuple(running.cycles))


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


@dataclass(slots=True)
class _Run:
    """A run under way: the cycles so far, and when the app last answered."""

    plan: Plan
    edge: Edge
    watch: Watch
    progress: Progress
    sandman_for: Callable[[SleepMode], Sandman] | None
    cycles: list[Cycle] = field(default_factory=list)
    answered_s: float | None = None

    def cycle(self, mode: SleepMode | None) -> None:
        """Wait for sleep, then measure; keep what was measured, also when that fails."""
        if self.answered_s is not None:
            self.watch.until_seen_up()
        sandman = self.sandman_for(mode) if self.sandman_for and mode else None
        meanwhile = sandman.ask if sandman else leave_alone
        wait = self.watch.until_asleep(self.plan.wait_seconds, self.progress, meanwhile)
        signs_s = (wait.up_s, self.answered_s, sandman.answered_s if sandman else None)
        up_s = max((sign_s for sign_s in signs_s if sign_s is not None), default=None)
        samples: list[Sample] = []
        try:
            samples.append(self._cold(up_s, mode))
            self._tell(samples[0])
            samples.extend(_warm(Kind.WARM, self.request()) for _ in range(self.plan.warm_count))
            samples.extend(_warm(Kind.KEPT, timed) for timed in self._kept())
        finally:
            self.cycles.append(Cycle(wait.waited_seconds, tuple(samples), mode))

    def _tell(self, sample: Sample) -> None:
        """Say what was measured while more is to come: on Fly a cycle takes minutes."""
        planned = len(self.plan.sleeps)
        if planned > 1:
            total, proof = f"{sample.timed.total_ms:.0f} ms", sample.judgement.proof
            self.progress.note(f"{len(self.cycles) + 1} of {planned}: {sample.kind} {total}, {proof}")

    def request(self) -> Timed:
        """Make one request on a connection of its own; raise `NotWellError` when it fails."""
        return self._answered(time_request(self.plan.target, self.edge))

    def _kept(self) -> Iterator[Timed]:
        if self.plan.target.protocol is Protocols.HTTP and self.plan.warm_count:
            for timed in time_kept(self.plan.target, self.edge, self.plan.warm_count):
                yield self._answered(timed)

    def _cold(self, up_s: float | None, mode: SleepMode | None) -> Sample:
        asleep = Asleep(None if up_s is None else (self.edge.clock() - up_s) * 1000, mode)
        timed = self.request()
        timing = _timing_of(timed)
        judgement = judge_cold(timing, timed, asleep)
        kind = Kind.RESUMED if judgement.woke_from is SleepMode.SUSPEND else Kind.COLD
        sample = Sample(kind, timed, timing, judgement)
        return replace(sample, judgement=self._who_woke_it(sample)) if sample.refuted else sample

    def _answered(self, timed: Timed) -> Timed:
        self.answered_s = self.edge.clock()
        target = self.plan.target
        trouble = trouble_in(timed.reply) if timed.reply else ""
        if trouble:
            raise NotWellError(f"{target} [{timed.address}]: {trouble} (after {timed.total_ms:.0f} ms)")
        return timed

    def _who_woke_it(self, sample: Sample) -> Judgement:
        """Add what else is known of a Machine that somebody else woke."""
        try:
            seen = str(self.watch.look())
        except LookFailedError as error:
            seen = str(error)
        who = f"Machine {sample.machine_id} answered" if sample.machine_id else "it does not say which Machine answered"
        logs = f"`fly logs -a {self.plan.target.app_name}` shows who called"
        return replace(sample.judgement, why=f"{sample.judgement.why}; {who}; DNS now: {seen}; {logs}")


def _warm(kind: Kind, timed: Timed) -> Sample:
    timing = _timing_of(timed)
    return Sample(kind, timed, timing, judge_warm(timing, timed))


def _timing_of(timed: Timed) -> ServerTiming:
    return read_server_timing(timed.reply.header("server-timing") if timed.reply else "")
