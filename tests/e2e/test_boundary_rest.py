"""A Machine that falls asleep is held to its limits until it stands still, and then stands still."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.running import RunningLab
from tests.e2e.stranger import stranger
from tests.e2e.test_lifecycle import command

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.lab

GROWS_WHEN_TOLD_TO_STOP = """
import signal, time
def grow(*_):
    kept = []
    while True:
        kept.append(b"x" * (8 << 20))
        time.sleep(0.01)
signal.signal(signal.SIGINT, grow)
print("ready", flush=True)
while True:
    signal.pause()
"""


def machine_of(lab: RunningLab) -> str:
    return str(lab.status()["machines"][0]["id"])


def test_a_machine_that_is_stopping_keeps_its_memory_limit(tmp_path: Path) -> None:
    """It may take 300 s to stop."""
    app = stranger(tmp_path / "app", GROWS_WHEN_TOLD_TO_STOP, first='kill_timeout = "300s"')
    with RunningLab(configs=[app]) as lab:
        lab.wait_for("ready")
        command(lab, "stop", machine_of(lab))
        lab.wait_for("Out of memory: Killed process")


WAKES_ITSELF = """
import ctypes, signal, struct, time
libc = ctypes.CDLL(None, use_errno=True)
signal.signal(signal.SIGCONT, lambda *_: None)
event = struct.pack("qii48x", 0, signal.SIGCONT, 0)  # SIGEV_SIGNAL
timer, every = ctypes.c_void_p(), struct.pack("4l", 0, 50_000_000, 0, 50_000_000)
if libc.timer_create(1, event, ctypes.byref(timer)) or libc.timer_settime(timer, 0, every, None):
    raise SystemExit("no timer")
print("ready", flush=True)
while True:
    time.sleep(1)
"""


def test_a_machine_that_goes_on_when_it_is_suspended_is_ended(tmp_path: Path) -> None:
    """The kernel sends SIGCONT for it; nobody would count what it holds, and it would run for ever."""
    with RunningLab(configs=[stranger(tmp_path / "app", WAKES_ITSELF)]) as lab:
        lab.wait_for("ready")
        command(lab, "suspend", machine_of(lab))
        lab.wait_for("A process went on while the machine was suspended; ending the machine")
        lab.wait_for("Main child exited with code: 137")
