"""What `watch` shows on a terminal: a live line a Machine, the events scrolling by above.

Rules
- Every text passes through `printable`: nothing from the network reaches the terminal raw.
- The cursor stays visible, so that a program that is stopped or killed leaves it so. Ctrl-C waits until what is being
  drawn is whole.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from shell.escape import printable
from shell.watch.changes import Change, State
from shell.watch.lines import sentence, span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shell.watch.changes import Event, Moment, OutageBegan, Row

_STYLES = {State.STARTED: "green", State.ASLEEP: "blue", State.ABSENT: "yellow"}
_TROUBLE = "red"
_COLUMNS = ("Machine", "region", "state", "since", "for")


class LiveLines:
    """Draws to a terminal until it is closed."""

    def __init__(self, live: Live, app_name: str) -> None:
        """Draw through `live`."""
        self._live = live
        self._app_name = app_name

    def tell(self, event: Event) -> None:
        """Write an event above the live lines."""
        style = _STYLES[event.after] if isinstance(event, Change) else _TROUBLE
        with _ctrl_c_later():
            self._live.console.print(Text(printable(sentence(event)), style))

    def show(self, rows: Sequence[Row], moment: Moment, outage: OutageBegan | None) -> None:
        """Draw the live lines anew."""
        started = sum(row.state is State.STARTED for row in rows)
        counted = f"{self._app_name}: {started} started of {len(rows)} deployed Machines, {moment.wall:%H:%M:%S}"
        lines = [Text(printable(counted))]
        if outage is not None:
            lasted = span(moment.seconds - outage.moment.seconds)
            lines.append(Text(f"DNS does not tell since {outage.moment.wall:%H:%M:%S} ({lasted})", _TROUBLE))
        table = Table(box=None, pad_edge=False, show_header=bool(rows))
        for heading in _COLUMNS:
            table.add_column(Text(heading), no_wrap=True)
        for row in rows:
            table.add_row(*_cells(row, moment))
        with _ctrl_c_later():
            self._live.update(Group(*lines, table), refresh=True)


@contextmanager
def live_lines(stream: TextIO, app_name: str, *, color: bool) -> Iterator[LiveLines]:
    """Draw to `stream`, and leave the terminal in order whatever happens."""
    console = Console(file=stream, color_system="auto" if color else None, highlight=False)
    live = Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
    try:
        with _ctrl_c_later():
            live.start()
            console.show_cursor(True)
        yield LiveLines(live, app_name)
    finally:
        with _ctrl_c_later():
            live.stop()


@contextmanager
def _ctrl_c_later() -> Iterator[None]:
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _cells(row: Row, moment: Moment) -> tuple[Text, ...]:
    known = "at least " if row.at_least else ""
    return (
        Text(printable(row.machine.machine_id)),
        Text(printable(row.machine.region)),
        Text(row.state, _STYLES[row.state]),
        Text(f"{'before ' if row.at_least else ''}{row.since.wall:%H:%M:%S}"),
        Text(f"{known}{span(moment.seconds - row.since.seconds)}"),
    )
