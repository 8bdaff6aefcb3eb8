from __future__ import annotations

import subprocess
import sys

LEAVES_AN_ANSWER_UNREAD = """
import select
from lab.launcher import Launcher
link = Launcher()._socket
link.send(b'{"do": "start"}')
assert select.select([link], [], [], 30)[0], "no answer"
link.close()
"""


def test_a_lab_that_ends_with_an_answer_unread_ends_the_launcher_quietly() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEAVES_AN_ANSWER_UNREAD], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
