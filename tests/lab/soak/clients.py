"""The client processes of the soak: started on the shell Machine, told what to do, listened to."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Self

from tests.e2e.running import LAB, PROJECT
from tests.lab.soak.results import read

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Callable

    from tests.lab.soak.results import Named, Result

ROLES = ("http", "hello", "sockets", "names", "crowd")
REST_SECONDS = 90
END_SECONDS = 20


class ClientEndedError(Exception):
    """A client process ended before it was told to."""


class Client:
    """One client process."""

    def __init__(self, role: str, process: Process, take: Callable[[Result | Named], None]) -> None:
        """Hand what it sees to `take`."""
        self.role = role
        self._process = process
        self._take = take
        self._rested = asyncio.Event()

    @classmethod
    async def start(cls, lab_pid: int, role: str, seed: int, take: Callable[[Result | Named], None]) -> Self:
        """Start it on the shell Machine of the lab; it rests until it is told to go."""
        process = await asyncio.create_subprocess_exec(
            *LAB, "exec", "--lab", str(lab_pid), "--", sys.executable, "-m", "tests.lab.soak.client", role, str(seed),
            cwd=PROJECT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        return cls(role, process, take)

    def tell(self, command: str) -> None:
        """Write it a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())

    async def rest(self) -> None:
        """Return when it does nothing any more; raise `TimeoutError`."""
        self._rested.clear()
        self.tell("rest")
        async with asyncio.timeout(REST_SECONDS):
            await self._rested.wait()

    async def listen(self) -> None:
        """Take every line; raise `ClientEndedError` at the end of them."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            seen = read(line.decode())
            if seen is None:
                self._rested.set()
            else:
                self._take(seen)
        raise ClientEndedError(f"the client process {self.role} ended with status {await self._process.wait()}")

    async def end(self) -> None:
        """Let it end; kill it when it does not."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
