"""What an app can do to the terminal that its lab is on: nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.e2e.running import DEADLINE_SECONDS, LAB
from tests.e2e.terminal import Terminal

pytestmark = pytest.mark.lab

OPEN_IT = """
try:
    open("/dev/tty", "wb", buffering=0).write(b"from the Machine")
except OSError as error:
    print(error.strerror)
else:
    print("opened")
"""


def test_a_program_in_an_app_s_machine_cannot_open_the_terminal_of_the_lab() -> None:
    """Who can open it reads the passwords that the caller types there."""
    with Terminal(*LAB, "up") as terminal:
        terminal.read_until("The lab is up")
        asking = [*LAB, "status", "--json", "--lab", str(terminal.pid)]
        status = json.loads(subprocess.run(asking, capture_output=True, check=True, timeout=DEADLINE_SECONDS).stdout)
        machine = status["machines"][0]["id"]
        done = subprocess.run(
            [*LAB, "exec", "--lab", str(terminal.pid), "--machine", machine, "--", sys.executable, "-c", OPEN_IT],
            capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
        )  # fmt: skip
        assert done.stdout == "No such device or address\n", done.stdout + done.stderr
        terminal.type("\x03")
        terminal.wait()
        assert "from the Machine" not in terminal.screen
