"""`flycast-lab demo` shows the whole idea in under a minute."""

from __future__ import annotations

import re
import signal
import subprocess
import time

import pytest

from tests.e2e.running import DEADLINE_SECONDS, LAB, PROJECT

pytestmark = pytest.mark.lab


def test_the_demo_shows_every_step_and_ends_with_measured_times() -> None:
    began = time.monotonic()
    done = subprocess.run(
        [*LAB, "demo"], capture_output=True, text=True, timeout=DEADLINE_SECONDS, cwd=PROJECT, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - began < 60
    for words in (
        "2 packets transmitted, 2 received",
        "ingress: flycast",
        "ingress: six_pn",
        "403 Forbidden",
        "hello\n",
        "cold and warm",
    ):
        assert words in done.stdout, f"{words!r} is missing in:\n{done.stdout}"
    assert len(re.findall(r"^cold .* proven$", done.stdout, re.MULTILINE)) == 1 + 3, done.stdout
    log = ("excess capacity, autostopping", "Sending signal SIGINT", "Starting machine", "machine became reachable in")
    places = [done.stdout.index(words) for words in log]
    assert places == sorted(places), "the log of the sleep and the wake is shown in order"
    assert "Traceback" not in done.stderr


def test_no_machine_sleeps_before_every_step_has_been_shown_however_long_that_takes() -> None:
    """A step that goes straight to a Machine fails when it sleeps, and this machine may be busy with other things."""
    with subprocess.Popen(
        [*LAB, "demo", "--autostop-interval", "0.01"], stdout=subprocess.PIPE, text=True, cwd=PROJECT
    ) as demo:
        assert demo.stdout is not None
        said = []
        for line in demo.stdout:
            said.append(line)
            if "Nobody uses it now" in line or "the step failed" in line:
                break
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=DEADLINE_SECONDS)
    assert "Nobody uses it now" in said[-1], "".join(said)
