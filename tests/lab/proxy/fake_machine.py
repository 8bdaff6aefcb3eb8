"""A platform of its own on loopback: Machines whose apps are real servers, with faults to order."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

from lab.errors import MachineStartError
from lab.states import ASLEEP, FALLING_ASLEEP, Event, MachineState, advance

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class FakeMachine:
    """A Machine whose process is an asyncio server; every wait is an event."""

    def __init__(self, machine_id: str, serve: Serve, *, region: str = "ams", process_group: str = "app") -> None:
        self.machine_id = machine_id
        self.region = region
        self.process_group = process_group
        self.state = MachineState.CREATED
        self.starts = 0
        self.dials = 0
        self.start_fault: str | None = None
        self.may_start = asyncio.Event()
        self.may_start.set()
        self.may_listen = asyncio.Event()
        self.may_listen.set()
        self.may_stop = asyncio.Event()
        self.may_stop.set()
        self.awake = asyncio.Event()
        self.awake.set()
        self.crash_at_start = False
        self.failing_checks = False
        self.backlog = 1024
        self._serve = serve
        self._changed = asyncio.Event()
        self._dead = _reserve()
        self._port: int | None = None
        self._server: asyncio.Server | None = None
        self._listening: asyncio.Task[None] | None = None
        self._start: asyncio.Task[None] | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def serves(self, internal_port: int) -> bool:
        assert internal_port == 8080
        return not self.failing_checks

    async def start(self) -> None:
        await self._until(lambda: self.state not in FALLING_ASLEEP)
        if self.state is MachineState.STARTED:
            return
        if self.state is MachineState.SUSPENDED:
            self._move(Event.START)
            self._move(Event.RUNNING)
            self.awake.set()
            return
        if self.state is not MachineState.STARTING:
            self._move(Event.START)
            self.starts += 1
            self._start = asyncio.create_task(self._bring_up())
        assert self._start is not None
        await asyncio.shield(self._start)

    async def settled(self) -> None:
        await self._until(lambda: self.state not in (MachineState.STARTING, *FALLING_ASLEEP))

    async def exited(self) -> None:
        run = self.starts
        await self._until(lambda: self.starts != run or self.state in ASLEEP)

    async def stop(self) -> None:
        self._move(Event.STOP)
        await self.may_stop.wait()
        self.die()

    def suspend(self) -> None:
        """Keep every connection and answer none: an app that wants to be suspended waits for `awake`."""
        self._move(Event.SUSPEND)
        self.awake.clear()
        self._move(Event.FROZEN)

    def die(self) -> None:
        """End the process at once, as SIGKILL does: the kernel closes its sockets."""
        if self._listening is not None:
            self._listening.cancel()
        if self._server is not None:
            self._server.close()
        for task, writer in list(self._connections.items()):
            task.cancel()
            writer.transport.abort()
        self._port = None
        self._move(Event.EXIT)

    async def close(self) -> None:
        if self.state is MachineState.SUSPENDED:
            await self.start()
        if self.state not in (MachineState.CREATED, MachineState.STOPPED, MachineState.STARTING):
            self.die()
        if self._start is not None:
            self._start.cancel()
            await asyncio.gather(self._start, return_exceptions=True)
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._dead.close()
        await asyncio.sleep(0)

    def dial(self, port: int) -> socket.socket:
        assert port == 8080
        self.dials += 1
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.bind(("127.0.0.2", 0))
        return sock

    def endpoint(self, port: int) -> tuple[str, int]:
        assert port == 8080
        return "127.0.0.1", self._port or self._dead.getsockname()[1]

    async def _bring_up(self) -> None:
        await self.may_start.wait()
        if self.start_fault is not None:
            self._move(Event.EXIT)
            raise MachineStartError(self.start_fault)
        self._move(Event.RUNNING)
        if self.crash_at_start:
            self.die()
        else:
            self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        await self.may_listen.wait()
        sock = _reserve()
        self._port = sock.getsockname()[1]
        self._server = await asyncio.start_server(self._accepted, sock=sock, backlog=self.backlog)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._converse(reader, writer))
        self._connections[task] = writer
        task.add_done_callback(self._connections.pop)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._serve(reader, writer)
        finally:
            writer.close()

    def _move(self, event: Event) -> None:
        self.state = advance(self.state, event)
        self._changed.set()
        self._changed = asyncio.Event()

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await self._changed.wait()


def _reserve() -> socket.socket:
    """Return a bound socket that does not listen: connecting to it is refused."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    sock.bind(("127.0.0.1", 0))
    return sock
