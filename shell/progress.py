"""What the person sees while the probe waits: one live line on a terminal, an occasional line elsewhere."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Protocol, TextIO

from shell.asleep import names_of
from shell.escape import printable

if TYPE_CHECKING:
    from shell.asleep import AppView

_PLAIN_EVERY_SECONDS = 30.0
_CLEAR_LINE = "\r\x1b[2K"
_MEANWHILE = "leave the app alone: a request or an open page keeps it up; Fly stops it 2 to 8 min after the last"


class Progress(Protocol):
    """Where a wait reports."""

    def waiting(self, waited_seconds: float, wait_seconds: float, view: AppView) -> None:
        """Report that Machines are still up."""

    def done(self) -> None:
        """Leave the terminal as it was."""


class LiveLine:
    """Rewrites one line of a terminal."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`, a terminal."""
        self._stream = stream
        self._drawn = False

    def waiting(self, waited_seconds: float, wait_seconds: float, view: AppView) -> None:
        """Redraw the line."""
        line = printable(f"{waiting_line(waited_seconds, wait_seconds, view)} - {_MEANWHILE}")
        columns = shutil.get_terminal_size().columns
        self._drawn = True  # before it is: Ctrl-C may come in between
        self._stream.write(_CLEAR_LINE + line[: max(columns - 1, 1)])
        self._stream.flush()

    def done(self) -> None:
        """Remove the line."""
        if self._drawn:
            self._stream.write(_CLEAR_LINE)
            self._stream.flush()
            self._drawn = False


class PlainLines:
    """Writes a whole line when the number of Machines changes, and twice a minute."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`."""
        self._stream = stream
        self._next_seconds = 0.0
        self._up = -1

    def waiting(self, waited_seconds: float, wait_seconds: float, view: AppView) -> None:
        """Write a line when there is something new to say."""
        if len(view.started) == self._up and waited_seconds < self._next_seconds:
            return
        more = f" - {_MEANWHILE}" if self._up < 0 else ""
        self._up = len(view.started)
        self._next_seconds = waited_seconds + _PLAIN_EVERY_SECONDS
        self._stream.write(printable(f"{waiting_line(waited_seconds, wait_seconds, view)}{more}") + "\n")
        self._stream.flush()

    def done(self) -> None:
        """Begin anew with the next wait."""
        self._next_seconds, self._up = 0.0, -1


def waiting_line(waited_seconds: float, wait_seconds: float, view: AppView) -> str:
    """Say how long, how much longer at most, and who is up."""
    return (
        f"waiting for sleep: {waited_seconds:.0f} of at most {wait_seconds:.0f} s, "
        f"{len(view.started)} of {len(view.deployed)} Machines up: {names_of(view.started)}"
    )


def progress_on(stream: TextIO, term: str) -> Progress:
    """Choose the way of reporting that `stream` and the TERM variable allow."""
    return LiveLine(stream) if stream.isatty() and term not in {"", "dumb"} else PlainLines(stream)
