"""Look at an app's Machines for a time, and tell what changed.

Rule: the first look must succeed. A later one that fails begins an outage, the next that succeeds ends it: both are
told once. An app that vanishes later has no Machines left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from shell.asleep import AppView, LookFailedError
from shell.errors import NotWellError
from shell.watch.changes import Moment, OutageBegan, OutageEnded, Row, compare, first_look

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from shell.watch.changes import Event

_SHOW_EVERY_SECONDS = 1.0


class Display(Protocol):
    """Where events and the present state go."""

    def tell(self, event: Event) -> None:
        """Write an event down."""

    def show(self, rows: Sequence[Row], moment: Moment, outage: OutageBegan | None) -> None:
        """Show how things are; called at least once a second between looks."""


@dataclass(frozen=True, slots=True)
class Watcher:
    """How to look, how time passes, where to show it, and how often to look."""

    look: Callable[[], AppView]
    clock: Callable[[], float]
    now: Callable[[], datetime]
    pause: Callable[[float], None]
    display: Display
    interval_seconds: float = 1.0

    def run(self, for_seconds: float) -> bool:
        """Watch for a time; return whether the last look succeeded. Raise `NotWellError` when the first does not."""
        limit = self.clock() + for_seconds
        view, moment = self.look(), self._moment()
        rows, changes = first_look(view, moment)
        outage = None
        while True:
            for change in changes:
                self.display.tell(change)
            if self._rest(min(moment.seconds + self.interval_seconds, limit), rows, outage) >= limit:
                return outage is None
            moment, changes = self._moment(), ()
            try:
                view = self._later_view()
            except LookFailedError as error:
                if outage is None:
                    outage = OutageBegan(moment, str(error))
                    self.display.tell(outage)
                continue
            seen = self._moment()
            if outage is not None:
                self.display.tell(OutageEnded(seen, seen.seconds - outage.moment.seconds))
                outage = None
            rows, changes = compare(rows, view, seen)

    def _later_view(self) -> AppView:
        try:
            return self.look()
        except LookFailedError:
            raise
        except NotWellError:  # the app, or its last Machine, is gone
            return AppView((), ())

    def _rest(self, until: float, rows: Mapping[str, Row], outage: OutageBegan | None) -> float:
        """Wait until a moment, showing how things are meanwhile; return what the clock says then."""
        while True:
            moment = self._moment()
            self.display.show(list(rows.values()), moment, outage)
            left_seconds = until - moment.seconds
            if left_seconds <= 0:
                return moment.seconds
            self.pause(min(left_seconds, _SHOW_EVERY_SECONDS))

    def _moment(self) -> Moment:
        return Moment(self.now(), self.clock())
