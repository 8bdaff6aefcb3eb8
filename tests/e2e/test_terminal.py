"""The lab on a terminal: Ctrl-C, job control, and a terminal left in order."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import sys
import time
from contextlib import suppress
from typing import Self

import pytest

from tests.e2e.running import DEADLINE_SECONDS, LAB, PROJECT

pytestmark = pytest.mark.lab


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
        os.write(self.fd, text.encode())

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


def test_ctrl_c_reaches_the_program_and_its_status_is_returned() -> None:
    with Terminal(
        *LAB, "run", "--", sys.executable, "-c", "print('go', flush=True); import time; time.sleep(99)"
    ) as terminal:
        terminal.read_until("go")
        terminal.type("\x03")
        assert terminal.wait() == 130
        assert "KeyboardInterrupt" in terminal.screen, "the program itself got the signal"


def test_ctrl_c_ends_a_lab_that_is_up_and_leaves_no_traceback() -> None:
    with Terminal(*LAB, "up") as terminal:
        terminal.read_until("The lab is up")
        terminal.type("\x03")
        assert terminal.wait() == 130
        assert "Traceback" not in terminal.screen


def test_ctrl_c_in_the_demo_ends_it_at_once() -> None:
    with Terminal(*LAB, "demo", "--autostop-interval", "300") as terminal:
        terminal.read_until("waiting for sleep")
        terminal.type("\x03")
        assert terminal.wait() == 130
        assert "Traceback" not in terminal.screen


def test_a_shell_on_the_shell_machine_has_job_control() -> None:
    with Terminal(*LAB, "run", "--", "bash", "--norc", "-i") as terminal:
        terminal.read_until("ready> ")
        assert "no job control" not in terminal.screen
        terminal.type("sh -c \"echo run''ning; exec sleep 99\"\r")
        terminal.read_until("running")
        terminal.type("\x1a")
        terminal.read_until(r"Stopped")
        terminal.type("kill -9 %1\r")
        terminal.read_until(r"ready> ")
        terminal.type("fg; exit 7\r")
        assert terminal.wait() == 7
