"""What `watch` writes down: a line an event, for a person or, as JSON, for a program.

JSON lines, each with every field, null where it says nothing: schema_version, event, time (ISO 8601, UTC), app,
  machine_id, region, from, to, after_seconds, at_least, text.
event is machine, outage_began or outage_ended. from and to are started, asleep or absent; from is null at the first
look. after_seconds is how long `from`, or the outage, lasted; longer, when at_least. Fields are only ever added under
one `schema_version`.

Rule: a pipe nobody reads any more is noticed also while nothing changes, as `tail -f` does.
"""

from __future__ import annotations

import select
from datetime import UTC
from typing import TYPE_CHECKING, Any, TextIO

from shell.escape import printable
from shell.watch.changes import Change, OutageBegan, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shell.watch.changes import Event, Moment, Row

SCHEMA_VERSION = 1
_NOBODY = select.POLLERR | select.POLLHUP


class Lines:
    """Writes a line an event, at once."""

    def __init__(self, stream: TextIO, app_name: str, *, as_json: bool) -> None:
        """Write to `stream`."""
        self._stream = stream
        self._app_name = app_name
        self._as_json = as_json

    def tell(self, event: Event) -> None:
        """Write an event; raise `OSError` when that cannot be done."""
        line = _json_line(self._app_name, event) if self._as_json else printable(sentence(event))
        self._stream.write(line + "\n")
        self._stream.flush()

    def show(self, _rows: Sequence[Row], _moment: Moment, _outage: OutageBegan | None) -> None:
        """Show nothing between events; raise `BrokenPipeError` when nobody reads them any more."""
        watched = select.poll()
        watched.register(self._stream.fileno(), 0)
        if any(event & _NOBODY for _, event in watched.poll(0)):
            raise BrokenPipeError


def sentence(event: Event) -> str:
    """Say an event in one line."""
    return f"{event.moment.wall:%Y-%m-%d %H:%M:%S}  {_words(event)}"


def record(app_name: str, event: Event) -> dict[str, Any]:
    """Return the record of an event."""
    kind = "machine" if isinstance(event, Change) else _outage_kind(event)
    change = event if isinstance(event, Change) else None
    seconds = None if isinstance(event, OutageBegan) else event.after_seconds
    return {
        "schema_version": SCHEMA_VERSION,
        "event": kind,
        "time": event.moment.wall.astimezone(UTC).isoformat(timespec="milliseconds"),
        "app": app_name,
        "machine_id": change.machine.machine_id if change else None,
        "region": change.machine.region if change else None,
        "from": change.before if change else None,
        "to": change.after if change else None,
        "after_seconds": None if seconds is None else round(seconds, 3),
        "at_least": change.at_least if change else False,
        "text": _words(event),
    }


def span(seconds: float) -> str:
    """Write a length of time for a person."""
    if round(seconds, 1) < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {left:02} s"


def _outage_kind(event: Event) -> str:
    return "outage_began" if isinstance(event, OutageBegan) else "outage_ended"


def _json_line(app_name: str, event: Event) -> str:
    from json import dumps  # noqa: PLC0415 - start-up time: only --json needs it

    return dumps(record(app_name, event))


def _words(event: Event) -> str:
    if isinstance(event, OutageBegan):
        return f"DNS does not tell: {event.reason}"
    if not isinstance(event, Change):
        return f"DNS tells again after {span(event.after_seconds)}"
    name = " ".join(filter(None, (event.machine.machine_id, event.machine.region)))
    if event.before is None:
        return f"{name}  {event.after}"
    known = "at least " if event.at_least else ""
    after = "" if event.after_seconds is None else f" after {known}{span(event.after_seconds)}"
    return f"{name}  {_called(event.before, 'new')} -> {_called(event.after, 'destroyed')}{after}"


def _called(state: State, absent: str) -> str:
    return absent if state is State.ABSENT else state
