"""Waits for every child of the lab: pid 1 gets all orphans, so one place reaps and tells who asked."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from lab.exits import ended_children

if TYPE_CHECKING:
    from collections.abc import Awaitable


def expect_many_ends() -> None:
    """Let a burst of signals pass in silence; call it after the last signal handler was set, which undoes it.

    asyncio is woken through a socket that holds some 280 signals.  When hundreds of Machines end in one turn of the
    loop it is full: Python would print a traceback for each signal more, and nothing is lost, as one reaps them all.
    """
    signal.set_wakeup_fd(signal.set_wakeup_fd(-1), warn_on_full_buffer=False)


class Children:
    """Exit statuses of processes that the launcher started and the kernel gave to us."""

    def __init__(self) -> None:
        """Start to reap in the running event loop."""
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self._launches = 0
        self._early: dict[int, int] = {}  # ended while a launch is under way: perhaps before we know its pid
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGCHLD, self._reap)

    async def adopt(self, launch: Awaitable[int]) -> tuple[int, asyncio.Future[int]]:
        """Wait for a launch; return its pid and the future of its exit status, 0 to 255, or 128 + signal."""
        self._launches += 1
        try:
            pid = await launch
            status: asyncio.Future[int] = self._loop.create_future()
            if pid in self._early:
                status.set_result(self._early.pop(pid))
            else:
                self._waiting[pid] = status
            return pid, status
        finally:
            self._launches -= 1
            if not self._launches:
                self._early.clear()  # a launch that failed; its number may be used again

    def _reap(self) -> None:
        for pid, status in ended_children():
            self._tell(pid, status)

    def _tell(self, pid: int, status: int) -> None:
        future = self._waiting.pop(pid, None)
        if future is not None:
            if not future.cancelled():
                future.set_result(status)
        elif self._launches:
            self._early[pid] = status
