"""The observer: hears the lab's log, the clients and the faults, and says what must not have been.  Pure.

Invariants

- Every request gets exactly one answer, its own, or an error that `excuses` allows for what was the matter; a POST is
  carried out at most once.
- No answer comes from a Machine that sleeps, nor from a run of it that has ended.
- Names tell of a Machine that was stopped or started within `NAMES_SECONDS`, and `stale-dns` more where that is on.
- States move only along the table; a Machine ends only when something ended it.
- Nothing in the log is a traceback, nor a connection that the proxy failed on.  But a Python that gets SIGINT before it
  has read the first line of its program says KeyboardInterrupt, whatever that program is.

A request is judged `JUDGED_AFTER_SECONDS` after its end, when the log has told everything about its time.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.states import Event, IllegalMoveError, MachineState
from tests.lab.soak.excuses import Cause, allowed
from tests.lab.soak.life import Life, parse
from tests.lab.soak.results import Named, Outcome, Result, Traffic, Way
from tests.lab.soak.schedule import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.lab.soak.life import Entry

JUDGED_AFTER_SECONDS = 2.0
NAMES_SECONDS = 1.0
_NEAR_SECONDS = 0.5  # around a cause, on a busy machine
_SAME_SECONDS = 0.05  # two events that the log and a client may see in either order
_AFTER_FLOOD_SECONDS = 15.0
_FORGOTTEN_SECONDS = 180.0
_LINES_KEPT = 200
_END_SECONDS = 2.0  # from a SIGKILL to the log's line about the end
_CRASHED = "fault crash-mid-request: the app is killed"
_NEVER = float("inf")
_BUG = re.compile(r"Traceback \(most recent call last\)|connection failed: |was never (retrieved|awaited)")
_NOISE = re.compile(r'"event": "(request|listening)"|fault (dns-delay|lost-dns): ')
_POST = re.compile(r"/app/echo/([\w.-]+)")


@dataclass(slots=True)
class InForce:
    """A fault from its beginning to its end, which may not have come; `machine_id` is whom it strikes, "" for all."""

    fault: Fault
    value: int
    machine_id: str
    began: float
    ended: float = _NEVER

    def touches(self, began: float, ended: float) -> bool:
        """Tell whether it was in force at some moment from `began` to `ended`."""
        return self.began <= ended and began <= self.ended


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that did not hold, and when."""

    when: float
    what: str


class Observer:
    """Knows all that has happened so far; `addresses` has the id of each Machine by its 6PN address."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self.lives = {machine_id: Life() for machine_id in addresses.values()}
        self.boots: dict[str, str] = {}
        self.counts: Counter[tuple[Way, Traffic, Outcome]] = Counter()
        self.moves: Counter[Event] = Counter()
        self.recent: deque[str] = deque(maxlen=_LINES_KEPT)
        self.faults: list[InForce] = []
        self._addresses = addresses
        self._waiting: deque[Result | Named] = deque()
        self._next: dict[str, int] = {}
        self._boots_seen: dict[str, float] = {}
        self._posts: set[str] = set()

    def begin(self, fault: Fault, value: int, machine_id: str, when: float) -> InForce:
        """Note that a fault begins; its end is set in what is returned."""
        self.faults = [known for known in self.faults if known.ended > when - _FORGOTTEN_SECONDS]
        self.faults.append(InForce(fault, value, machine_id, when))
        return self.faults[-1]

    def hear(self, line: str) -> Iterator[Violation]:
        """Take a line of the lab."""
        if not _NOISE.search(line):
            self.recent.append(line)
        entry = parse(line)
        when = entry.when if entry else 0.0
        life = self.lives.get(entry.machine_id) if entry else None
        if _BUG.search(line) and not (life and life.stopped_unserved):
            yield Violation(when, f"the log has: {line}")
        if entry is None:
            return
        if life is not None:
            yield from self._hear_of(life, entry)
        if entry.text.startswith(_CRASHED):
            self.begin(Fault.KILL, 0, entry.machine_id, when).ended = when
        if entry.app.get("event") == "request" and entry.app.get("method") == "POST":
            yield from self._count_post(entry)

    def _hear_of(self, life: Life, entry: Entry) -> Iterator[Violation]:
        before = life.now.state
        try:
            move = life.hear(entry)
        except IllegalMoveError as error:
            yield Violation(entry.when, f"Machine {entry.machine_id}: {error}")
            return
        if move is None:
            return
        if move.event is not None:
            self.moves[move.event] += 1
        if (
            move.event is Event.EXIT
            and before is MachineState.STARTED
            and not self._killed(entry.machine_id, move.when, move.when)
        ):
            yield Violation(move.when, f"Machine {entry.machine_id} ended with {move.status}, and nothing ended it")

    def _killed(self, machine_id: str, began: float, ended: float) -> bool:
        """Tell whether that Machine's app was killed at some moment, or so shortly before that the log may not know.

        The init of a suspended Machine tells of an end only once it is resumed.
        """
        began = self.lives[machine_id].awake_before(began, _END_SECONDS)
        return any(
            fault.fault is Fault.KILL and fault.machine_id == machine_id and fault.touches(began, ended)
            for fault in self.faults
        )

    def _count_post(self, entry: Entry) -> Iterator[Violation]:
        found = _POST.match(str(entry.app.get("path")))
        if found is None:
            return
        if found[1] in self._posts:
            yield Violation(entry.when, f"POST {found[1]} was carried out twice")
        self._posts.add(found[1])

    def take(self, seen: Result | Named) -> Iterator[Violation]:
        """Take what a client saw; it is judged later."""
        self._waiting.append(seen)
        if isinstance(seen, Result):
            if seen.number != self._next.get(seen.worker, 0):
                expected = self._next.get(seen.worker, 0)
                yield Violation(seen.ended, f"expected request {expected} of {seen.worker}, got {seen.number}")
            self._next[seen.worker] = seen.number + 1

    def judge(self, now: float) -> Iterator[Violation]:
        """Judge what is long enough ago."""
        while self._waiting and self._waiting[0].ended < now - JUDGED_AFTER_SECONDS:
            seen = self._waiting.popleft()
            yield from self._judge_result(seen) if isinstance(seen, Result) else self._judge_names(seen)

    def _judge_result(self, result: Result) -> Iterator[Violation]:
        self.counts[result.way, result.traffic, result.outcome] += 1
        if result.outcome not in allowed(result.way, result.traffic, self.causes(result)):
            yield Violation(result.ended, self._told(result))
        if result.boot:
            yield from self._judge_run(result)

    def _judge_run(self, result: Result) -> Iterator[Violation]:
        life = self.lives[result.machine_id]
        began, ended = result.began - _SAME_SECONDS, result.ended + _SAME_SECONDS
        if result.outcome is Outcome.OK and life.slept_throughout(began, ended):
            yield Violation(result.ended, f"a Machine that sleeps has answered: {self._told(result)}")
        self.boots[result.machine_id] = result.boot
        seen = self._boots_seen.setdefault(result.boot, result.ended)
        run_ended = life.first_exit(seen - _SAME_SECONDS)
        if run_ended is not None and result.began > run_ended + _SAME_SECONDS:
            yield Violation(result.ended, f"a run that ended at {run_ended:.3f} has answered: {self._told(result)}")

    def causes(self, result: Result) -> frozenset[Cause]:
        """Return all that was the matter at some moment of a request."""
        began, ended = result.began - _NEAR_SECONDS, result.ended + _NEAR_SECONDS
        found = {cause for life in self.lives.values() for cause in _of_moves(life, began, ended)}
        if any(self._killed(machine_id, began, ended) for machine_id in self.lives):
            found.add(Cause.KILLED)
        for fault in self.faults:
            if fault.fault is Fault.LOST_DNS and fault.touches(began, ended):
                found.add(Cause.LOST_NAMES)
            if fault.fault is Fault.FLOOD and fault.touches(began - _AFTER_FLOOD_SECONDS, ended):
                found.add(Cause.FLOOD)
        if result.way is Way.SIX_PN and not self._dialled_serves(result.at, began, ended):
            found.add(Cause.NOT_SERVING)
        return frozenset(found)

    def _dialled_serves(self, address: str, began: float, ended: float) -> bool:
        dialled = self._addresses.get(address)
        if dialled is not None:
            served = self.lives[dialled].served_throughout(began, ended)
            return served and not self._killed(dialled, began, ended)
        began -= self._stale_seconds(began, ended)  # no address was got: did the names have all they should?
        return any(life.started_throughout(began, ended) for life in self.lives.values())

    def _stale_seconds(self, began: float, ended: float) -> float:
        """Return how old names may have been."""
        stale = [
            fault.value
            for fault in self.faults
            if fault.fault is Fault.STALE_DNS and fault.touches(began - NAMES_SECONDS, ended)
        ]
        return NAMES_SECONDS + max(stale, default=0)

    def _judge_names(self, names: Named) -> Iterator[Violation]:
        began = names.began - self._stale_seconds(names.began, names.ended)
        named = {self._addresses.get(name, name) for name in names.named}
        for machine_id, life in self.lives.items():
            if machine_id in named and life.slept_throughout(began, names.ended):
                yield Violation(names.ended, f"names have Machine {machine_id}, which sleeps since {life.now.when:.3f}")
            if machine_id not in named and life.started_throughout(began, names.ended):
                yield Violation(names.ended, f"names do not have Machine {machine_id}, started at {life.now.when:.3f}")

    def _told(self, result: Result) -> str:
        causes = ", ".join(sorted(self.causes(result))) or "nothing was the matter"
        return (
            f"{result.traffic} over {result.way} {result.worker}.{result.number}: {result.outcome} after "
            f"{result.ended - result.began:.3f}s at {result.at} ({causes}): {result.detail}"
        )


def _of_moves(life: Life, began: float, ended: float) -> Iterator[Cause]:
    """Yield what a Machine's moves were the cause of."""
    for move in life.during(began, ended):
        if move.state is MachineState.STOPPING:
            yield Cause.STOPPED
        if move.event is Event.EXIT and move.status and move.when >= began:
            yield Cause.KILLED
        if move.event in (Event.SUSPEND, Event.FROZEN) and move.when >= began:
            yield Cause.SUSPENDED
