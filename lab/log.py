"""The lab's log: one line an event, in the shape of `fly logs`, and in its colours on a terminal."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import TextIO

EVERY_LEVEL = frozenset({"info", "warn", "error"})
_LEVEL_COLOURS = {"info": "36", "warn": "33", "error": "31"}
_DIM, _REGION_COLOUR = "2", "32"
_MACHINE_COLOURS = ("34", "35", "36", "94", "95", "96")  # a Machine keeps its own, so that two can be told apart


def printable(text: str) -> str:
    """Return the text with what could command a terminal, or begin a line of its own, as an escape sequence."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\t" else f"\\x{ord(c):02x}" for c in text)


class EventLog(Protocol):
    """Where the parts of the lab report what happens."""

    def __call__(
        self, source: str, message: str, *,
        machine_id: str = "", region: str = "", level: str = "info", last_lines: Sequence[str] = (),
    ) -> None:  # fmt: skip
        """Take one event: `source` is proxy, app, runner, dns or lab; `level` is info, warn or error.

        `last_lines` are what an app printed before it ended, for who was not shown them as events of their own.
        """


@dataclass(frozen=True, slots=True)
class LogLine:
    """One event as it is written down."""

    source: str
    message: str
    machine_id: str
    region: str
    level: str
    when: datetime
    last_lines: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return it as `fly logs` prints it: time, source[Machine], region, [level], message."""
        return " ".join(part for part, _ in self._parts())

    def coloured(self) -> str:
        """Return it with the escape sequences of a terminal."""
        return " ".join(f"\x1b[{colour}m{part}\x1b[0m" if colour else part for part, colour in self._parts())

    def aftermath(self) -> str:
        """Return the last lines of an app that has ended, to be put behind the line itself."""
        return "".join(f"\n    {line}" for line in ("its last lines:", *self.last_lines)) if self.last_lines else ""

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
        self, source: str, message: str, *,
        machine_id: str = "", region: str = "", level: str = "info", last_lines: Sequence[str] = (),
    ) -> None:  # fmt: skip
        """Write one event; a program of an app or a client may have chosen a part of the message."""
        line = LogLine(source, printable(message), machine_id, region, level, datetime.now(UTC), tuple(last_lines))
        for write in self._writers:
            write(line)


def writers(log_file: TextIO | None, stream_name: str, levels: Collection[str]) -> list[Callable[[LogLine], None]]:
    """Return what takes log lines: the terminal for `levels` and the lab as a whole, the file for all.

    `stream_name` is stdout or stderr of `sys`, looked up for every line: the lab replaces them while it is up.
    """
    is_coloured = getattr(sys, stream_name).isatty() and "NO_COLOR" not in os.environ
    shows_apps = "info" in levels

    def to_terminal(line: LogLine) -> None:
        of_the_whole_lab = line.source == "lab" and not line.machine_id
        if line.level in levels or of_the_whole_lab:
            text = line.coloured() if is_coloured else str(line)
            _write(text if shows_apps else text + line.aftermath(), getattr(sys, stream_name))

    def to_file(line: LogLine) -> None:
        if log_file is not None:
            _write(str(line), log_file)

    return [to_terminal, to_file]


def _write(text: str, stream: TextIO) -> None:
    with suppress(OSError):  # a terminal that is gone must not end the lab half-way
        stream.write(f"{text}\n")
