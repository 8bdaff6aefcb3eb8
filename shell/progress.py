"""What the person sees while the probe waits: a live line on a terminal, else one at the start and one at the end."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TextIO

from shell.escape import printable

_CLEAR_LINE = "\r\x1b[2K"


class Progress:
    """Reports one wait after another."""

    def __init__(self, stream: TextIO | None, term: str) -> None:
        """Write to `stream`, or to nobody; `term` is the TERM variable."""
        self._stream = stream
        self._live = stream is not None and stream.isatty() and term not in {"", "dumb"}
        self._shown = False

    def show(self, line: str, advice: str) -> None:
        """Report where the wait is; the advice is for a terminal."""
        first, self._shown = not self._shown, True  # before it is written: Ctrl-C may come in between
        if self._live:
            columns = shutil.get_terminal_size().columns
            self._write(_CLEAR_LINE + printable(f"{line} - {advice}")[: max(columns - 1, 1)])
        elif first:
            self._write(printable(line) + "\n")

    def done(self, line: str = "") -> None:
        """Report the end of the wait; on a terminal, leave nothing behind."""
        if self._shown:
            self._write(_CLEAR_LINE if self._live else f"{line}\n" if line else "")
            self._shown = False

    def note(self, line: str) -> None:
        """Report what stays to be read while the next wait goes on."""
        self.done()
        self._write(printable(line) + "\n")

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        with suppress(OSError):  # with stderr gone there is nobody to tell
            self._stream.write(text)
            self._stream.flush()
