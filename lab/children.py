"""Waits for every child of the lab: pid 1 gets all orphans, so one place reaps and tells who asked."""

from __future__ import annotations

import asyncio
import os
import signal


class Children:
    """Exit statuses by pid, for processes that the launcher started and the kernel gave to us."""

    def __init__(self) -> None:
        """Start to reap in the running event loop."""
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self._early: dict[int, int] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGCHLD, self._reap)

    def exit_of(self, pid: int) -> asyncio.Future[int]:
        """Return a future of the exit status of `pid`: 0 to 255, or 128 + signal."""
        future: asyncio.Future[int] = self._loop.create_future()
        if pid in self._early:
            future.set_result(self._early.pop(pid))
        else:
            self._waiting[pid] = future
        return future

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._tell(pid, os.waitstatus_to_exitcode(status))

    def _tell(self, pid: int, code: int) -> None:
        status = code if code >= 0 else 128 - code
        future = self._waiting.pop(pid, None)
        if future is None:
            self._early[pid] = status  # the launcher's answer with this pid is still on its way
        elif not future.cancelled():
            future.set_result(status)
