"""A pseudo-terminal with a program on it, driven as a person does: type, read the screen, resize the window."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from contextlib import suppress
from typing import Self

from tests.e2e.running import DEADLINE_SECONDS, PROJECT


class Terminal:
    """A program on a pseudo-terminal of its own, as in a person's window."""

    def __init__(self, *argv: str) -> None:
        self.screen = ""
        self.status: int | None = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(PROJECT)
            os.environ["PS1"] = "ready> "
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # the tests may run in the background, where it is ignored
            os.execvp(argv[0], argv)  # noqa: S606 - the program under test

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def type(self, text: str) -> None:
        left = text.encode()
        while left:
            left = left[os.write(self.fd, left) :]

    def resize(self, rows: int, columns: int) -> None:
        """Change the window's size, as a person drags its corner: the kernel tells the program."""
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def settings(self) -> list[object]:
        """Return how the terminal treats keys, to compare before and after."""
        return list(termios.tcgetattr(self.fd))

    def read_until(self, pattern: str) -> str:
        """Read until the screen matches, and forget what was before."""
        end = time.monotonic() + DEADLINE_SECONDS
        while not (found := re.search(pattern, self.screen)):
            ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
            if not ready or not self._read():
                raise AssertionError(f"{pattern!r} did not appear on the screen:\n{self.screen}")
        self.screen = self.screen[found.end() :]
        return found[0]

    def _read(self) -> bool:
        """Take what is there; tell whether there was anything.  Linux reports the end of a terminal as an error."""
        with suppress(OSError):
            data = os.read(self.fd, 65536)
            self.screen += data.decode(errors="replace")
            return bool(data)
        return False

    def wait(self) -> int:
        """Wait for the program's end; return its exit status, negative for a signal."""
        end = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < end:
            ready, _, _ = select.select([self.fd], [], [], 0.05)
            if ready:
                self._read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
                return self.status
        raise AssertionError(f"it did not end; the screen:\n{self.screen}")
