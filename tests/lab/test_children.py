from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from lab.children import Children

PROJECT = Path(__file__).parents[2]


def end_with(status: int) -> int:
    pid = os.fork()
    if pid == 0:
        os._exit(status)
    return pid


async def end_before_told(status: int) -> int:
    """Launch a process that has ended, and was reaped, before its pid is known."""
    pid = end_with(status)
    async with asyncio.timeout(10):
        while os.path.exists(f"/proc/{pid}"):  # noqa: ASYNC110, ASYNC240, PTH110 - reaped elsewhere, no event tells
            await asyncio.sleep(0)
    return pid


async def test_a_process_that_ends_before_its_pid_is_known_still_has_its_status() -> None:
    _, status = await Children().adopt(end_before_told(7))
    assert await asyncio.wait_for(status, 10) == 7


async def test_the_status_of_a_launch_that_failed_is_not_taken_for_a_later_process_with_the_same_pid() -> None:
    children = Children()
    number = await end_before_told(7)

    async def again() -> int:
        return number

    _, status = await children.adopt(again())
    assert not status.done()


MANY_END = """
import asyncio, os, signal
from lab.children import Children, expect_many_ends

async def live():
    children = Children()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, print)
    expect_many_ends()

    async def launch():
        pid = os.fork() or os._exit(0)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # a signal each, and no turn of the loop
        return pid

    ends = [await children.adopt(launch()) for _ in range(400)]
    await asyncio.wait_for(asyncio.gather(*(status for _, status in ends)), 30)
    print("all told")

asyncio.run(live())
"""


def test_hundreds_that_end_at_once_are_all_told_of_and_nothing_is_printed_about_signals() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MANY_END], capture_output=True, text=True, timeout=60, check=False, cwd=PROJECT
    )
    assert (done.returncode, done.stdout, done.stderr[-500:]) == (0, "all told\n", "")
