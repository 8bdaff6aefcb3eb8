"""Messages at the door of a lab that is up: each gets one reply in JSON, and the door stays open."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from lab import control
from lab.errors import LabError
from tests.fuzz.loops import on_a_loop
from tests.fuzz.target import Broken, Target
from tests.lab.test_machine import Notes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable, Mapping, Sequence

    from tests.fuzz.loops import AsyncCheck

_LONGEST = 100_000


class Lab:
    """Says what it was asked; there is no Machine."""

    def status(self) -> dict[str, Any]:
        """Return no apps."""
        return {"apps": []}

    async def execute(
        self,
        machine_id: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        directory: str,
        streams: Sequence[int],
        *,
        terminal: bool = False,
    ) -> control.Program:
        """Run nothing."""
        raise LabError(f"no machine {machine_id} for {argv}, {env}, {directory}, {streams}, {terminal}")

    async def execute_on_its_terminal(
        self, machine_id: str, argv: Sequence[str], env: Mapping[str, str], size: tuple[int, int]
    ) -> tuple[control.Program, int]:
        """Have no terminal."""
        raise LabError(f"no machine {machine_id} for {argv}, {env} and a terminal of {size}")

    async def command(self, verb: str, machine_id: str) -> str:
        """Know no Machine."""
        raise LabError(f"no machine {machine_id} to {verb}")

    def switch_faults(self, texts: Sequence[str]) -> list[str]:
        """Know every fault."""
        return list(texts)

    async def wireguard(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Have no peers."""
        return {"asked": dict(request)}

    def take_down(self) -> None:
        """Stay up."""


@asynccontextmanager
async def _serving() -> AsyncIterator[AsyncCheck]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
        door.bind("")  # an abstract name of the kernel's choice
        door.listen()
        door.setblocking(False)
        serving = asyncio.ensure_future(control.serve(door, Lab(), notes := Notes()))

        async def check(data: bytes) -> Hashable:
            if notes.lines:
                raise Broken(f"an error that nobody expected: {notes.lines}")
            if serving.done():
                raise Broken(f"the door is shut: {serving}")
            reply = json.loads(await _ask(door.getsockname(), data[:_LONGEST] or b" "))
            if not isinstance(reply, dict):
                raise Broken(f"no object: {reply!r:.200}")
            return frozenset(reply), str(reply.get("error"))[:12]

        try:
            yield check
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving


async def _ask(name: bytes, data: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as caller:
        caller.setblocking(False)
        await loop.sock_connect(caller, name)
        await loop.sock_sendall(caller, data)
        reply = b""
        while piece := await loop.sock_recv(caller, 1 << 20):
            reply += piece
    return reply


TARGET = Target("control", lambda: on_a_loop(_serving()), 400)
