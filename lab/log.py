"""The lab's log: one line an event, in the shape of `fly logs`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class EventLog(Protocol):
    """Where the parts of the lab report what happens."""

    def __call__(
        self, source: str, message: str, *, machine_id: str = "", region: str = "", level: str = "info"
    ) -> None:
        """Take one event: `source` is proxy, app, runner or dns; `level` is info, warn or error."""


def fly_line(source: str, message: str, machine_id: str, region: str, level: str, when: datetime) -> str:
    """Return the event as `fly logs` prints it: time, source[Machine], region, [level], message."""
    place = f"{source}[{machine_id}]" if machine_id else source
    stamp = when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"
    return " ".join(part for part in (stamp, place, region, f"[{level}]", message) if part)


class LineLog:
    """An `EventLog` that hands every line, with its level, to the writers it was given."""

    def __init__(self, *writers: Callable[[str, str], None]) -> None:
        """Keep `writers`; each is called as `writer(level, line)`."""
        self._writers = writers

    def __call__(
        self, source: str, message: str, *, machine_id: str = "", region: str = "", level: str = "info"
    ) -> None:
        """Write one event."""
        line = fly_line(source, message, machine_id, region, level, datetime.now(UTC))
        for write in self._writers:
            write(level, line)
