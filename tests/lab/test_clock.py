from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING

import pytest

from lab import clock
from lab.clock import WallClock, with_clock
from lab.states import MachineState

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def wall_clock(tmp_path: Path) -> WallClock:
    library = tmp_path / "library"
    library.touch()
    return WallClock(tmp_path / "machine", library, 90)


def late_seconds(tmp_path: Path) -> float:
    (late,) = struct.unpack("d", (tmp_path / "machine/clock").read_bytes())
    return float(late)


async def test_a_clock_is_late_from_the_suspension_on_and_right_again_a_little_after_the_resume(
    wall_clock: WallClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "LATE_FOR_SECONDS", 0.05)
    way = ("started", "suspending", "suspended", "starting", "started", "started")
    seen = [(wall_clock.follow(MachineState(state)), late_seconds(tmp_path)) for state in way]
    assert seen == [(False, 0), (False, 0), (False, 90), (False, 90), (True, 90), (False, 90)]
    async with asyncio.timeout(10):
        while late_seconds(tmp_path):  # noqa: ASYNC110 - a file tells no event
            await asyncio.sleep(0.005)


async def test_a_machine_suspended_again_while_late_stays_late(wall_clock: WallClock, tmp_path: Path) -> None:
    resume = (MachineState.SUSPENDED, MachineState.STARTED)
    assert [wall_clock.follow(state) for state in resume * 2] == [False, True, False, True]
    assert late_seconds(tmp_path) == 90


async def test_a_stop_ends_the_lateness_because_a_start_is_no_resume(wall_clock: WallClock, tmp_path: Path) -> None:
    wall_clock.follow(MachineState.SUSPENDED)
    wall_clock.follow(MachineState.STOPPED)
    assert late_seconds(tmp_path) == 0
    assert not wall_clock.follow(MachineState.STARTED)


def test_an_app_keeps_what_it_preloads_itself() -> None:
    assert with_clock({"A": "b"}) == {"A": "b", "LD_PRELOAD": "/.fly/clock.so", "LAB_CLOCK": "/.fly/clock"}
    assert with_clock({"LD_PRELOAD": "x.so"})["LD_PRELOAD"] == "/.fly/clock.so x.so"
