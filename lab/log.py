"""The lab's log: one line an event, in the shape of `fly logs`, and in its colours on a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

_LEVEL_COLOURS = {"info": "36", "warn": "33", "error": "31"}
_DIM, _REGION_COLOUR = "2", "32"
_MACHINE_COLOURS = ("34", "35", "36", "94", "95", "96")  # a Machine keeps its own, so that two can be told apart


class EventLog(Protocol):
    """Where the parts of the lab report what happens."""

    def __call__(
        self, source: str, message: str, *, machine_id: str = "", region: str = "", level: str = "info"
    ) -> None:
        """Take one event: `source` is proxy, app, runner or dns; `level` is info, warn or error."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One event as it is written down."""

    source: str
    message: str
    machine_id: str
    region: str
    level: str
    when: datetime

    def __str__(self) -> str:
        """Return it as `fly logs` prints it: time, source[Machine], region, [level], message."""
        return " ".join(part for part, _ in self._parts())

    def coloured(self) -> str:
        """Return it with the escape sequences of a terminal."""
        return " ".join(f"\x1b[{colour}m{part}\x1b[0m" if colour else part for part, colour in self._parts())

    def _parts(self) -> list[tuple[str, str]]:
        stamp = self.when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{self.when.microsecond // 1000:03d}Z"
        place = f"{self.source}[{self.machine_id}]" if self.machine_id else self.source
        of_machine = _MACHINE_COLOURS[sum(self.machine_id.encode()) % len(_MACHINE_COLOURS)] if self.machine_id else ""
        of_level = _LEVEL_COLOURS[self.level]
        message = (self.message, "" if self.level == "info" else of_level)
        parts = [
            (stamp, _DIM),
            (place, of_machine),
            (self.region, _REGION_COLOUR),
            (f"[{self.level}]", of_level),
            message,
        ]
        return [part for part in parts if part[0]]


class LineLog:
    """An `EventLog` that hands every line to the writers it was given."""

    def __init__(self, *writers: Callable[[LogLine], None]) -> None:
        """Keep `writers`; each is called with every line."""
        self._writers = writers

    def __call__(
        self, source: str, message: str, *, machine_id: str = "", region: str = "", level: str = "info"
    ) -> None:
        """Write one event."""
        line = LogLine(source, message, machine_id, region, level, datetime.now(UTC))
        for write in self._writers:
            write(line)
