"""The lab on a terminal: Ctrl-C, job control, and a terminal left in order."""

from __future__ import annotations

import sys

import pytest

from tests.e2e.running import LAB
from tests.e2e.terminal import Terminal

pytestmark = pytest.mark.lab


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


@pytest.mark.parametrize("moment", ["ping -c2", "PING", "waiting for sleep"])
def test_ctrl_c_in_the_demo_ends_it_at_once_whatever_it_shows(moment: str) -> None:
    with Terminal(*LAB, "demo", "--autostop-interval", "300") as terminal:
        terminal.read_until(moment)
        terminal.type("\x03")
        assert terminal.wait() == 130
        for words in ("Traceback", "the step failed", "Done in"):
            assert words not in terminal.screen


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
