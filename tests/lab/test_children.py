from __future__ import annotations

import asyncio
import os

from lab.children import Children


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
