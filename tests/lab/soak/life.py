"""The life of each Machine as the lab's log tells it, walked along the table of `lab.states`.  Pure.

The log has a line for every move but that of a suspended Machine which is stopped: it just ends.  A Machine serves from
its app's `serving` line, or from its resume, until the next move; so much later than it could, never earlier.
"""

from __future__ import annotations

import itertools
import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from lab.states import ASLEEP, Event, MachineState, advance

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE = re.compile(r"(?P<time>\S+Z) (?P<source>\w+)(?:\[(?P<machine>\w+)\])?(?: \w{3})? \[\w+\] (?P<text>.*)")
_EVENTS = (
    (re.compile(r"Starting machine$"), Event.START),
    (re.compile(r"machine started in "), Event.RUNNING),
    (re.compile(r"Sending signal \w+ to main child process"), Event.STOP),
    (re.compile(r"Suspending machine$"), Event.SUSPEND),
    (re.compile(r"Machine suspended$"), Event.FROZEN),
    (re.compile(r"Main child exited with code: (?P<status>\d+)|machine failed to start"), Event.EXIT),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the lab's log; `app` has what the app said in JSON."""

    when: float
    machine_id: str
    text: str
    app: dict[str, object]


def parse(line: str) -> Entry | None:
    """Return what a line says; None for one that is no log line."""
    found = LINE.match(line)
    if found is None:
        return None
    text = found["text"]
    app: dict[str, object] = {}
    if found["source"] == "app" and text.startswith("{"):
        with suppress(ValueError):  # an app that was killed in the middle of a line
            app = json.loads(text)
    return Entry(datetime.fromisoformat(found["time"]).timestamp(), found["machine"] or "", text, app)


@dataclass(frozen=True, slots=True)
class Move:
    """What a Machine is from `when` on."""

    when: float
    state: MachineState
    serves: bool
    event: Event | None = None
    status: int | None = None


@dataclass(slots=True)
class Life:
    """Every move of one Machine, the latest last."""

    moves: list[Move] = field(default_factory=lambda: [Move(0, MachineState.CREATED, serves=False)])

    @property
    def now(self) -> Move:
        """The latest move."""
        return self.moves[-1]

    def hear(self, entry: Entry) -> Move | None:
        """Take a log line of this Machine; return the move it tells of; raise `IllegalMoveError`."""
        for pattern, event in _EVENTS:
            if not entry.app and (found := pattern.match(entry.text)):
                status = found.groupdict().get("status")
                return self._move(entry.when, event, None if status is None else int(status))
        if entry.app.get("event") == "serving" and self.now.state is MachineState.STARTED:
            self.moves.append(Move(entry.when, MachineState.STARTED, serves=True))
        return None

    def _move(self, when: float, event: Event, status: int | None) -> Move:
        resumed = event is Event.RUNNING and self._was_suspended()
        self.moves.append(Move(when, advance(self.now.state, event), resumed, event, status))
        return self.now

    def _was_suspended(self) -> bool:
        """Tell whether the start under way is a resume, of an app that served before its suspension."""
        before = [move for move in self.moves[-5:] if move.state is not MachineState.STARTING]
        last = before[-1:] and before[-1].state is MachineState.SUSPENDED
        return bool(last) and any(move.serves for move in before)

    @property
    def stopped_unserved(self) -> bool:
        """Whether it is being stopped before its app has served anything."""
        if self.now.state is not MachineState.STOPPING:
            return False
        this_run = itertools.takewhile(lambda move: move.event is not Event.START, reversed(self.moves))
        return not any(move.serves for move in this_run)

    def during(self, began: float, ended: float) -> Iterator[Move]:
        """Yield what it was at any moment from `began` to `ended`, the latest first."""
        for move in reversed(self.moves):
            if move.when <= ended:
                yield move
            if move.when <= began:
                return

    def served_throughout(self, began: float, ended: float) -> bool:
        """Tell whether it served all the time."""
        return all(move.serves for move in self.during(began, ended))

    def slept_throughout(self, began: float, ended: float) -> bool:
        """Tell whether it was asleep all the time."""
        return all(move.state in ASLEEP for move in self.during(began, ended))

    def started_throughout(self, began: float, ended: float) -> bool:
        """Tell whether it was started all the time."""
        return all(move.state is MachineState.STARTED for move in self.during(began, ended))

    def awake_before(self, when: float, seconds: float) -> float:
        """Return the moment so many seconds before `when`, those not counted in which it was suspended or resumed."""
        for move in reversed(self.moves):
            if move.when >= when:
                continue
            if move.state not in {MachineState.SUSPENDED, MachineState.STARTING}:
                if when - move.when >= seconds:
                    return when - seconds
                seconds -= when - move.when
            when = move.when
        return when

    def first_exit(self, since: float) -> float | None:
        """Return when it ended for the first time after `since`."""
        ends = [move.when for move in self.during(since, float("inf")) if move.event is Event.EXIT]
        return min((end for end in ends if end >= since), default=None)
