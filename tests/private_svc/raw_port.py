"""A raw port in this process, whose callers all seem to come from one peer, and handlers that echo."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from private_svc.raw import RawPort
from tests.private_svc.making import FLY, SeenAs, context
from tests.private_svc.process import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from private_svc.ingress import Caller
    from private_svc.sessions import Handler


class Port:
    """A raw port whose callers all seem to come from one peer."""

    def __init__(self, handler: Handler, peer: str, settings: dict[str, str], open_at_most: int = 100) -> None:
        self.context = context(SeenAs(peer), fly=FLY, **settings)
        self.activity = self.context.activity
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.setblocking(False)
        self.address = self._listening.getsockname()
        loop = asyncio.get_running_loop()
        self.raw = RawPort(loop, self._listening, self.context, handler, open_at_most=open_at_most)
        self.writers: list[asyncio.StreamWriter] = []
        self._is_drained = False

    async def drain(self, seconds: float) -> int:
        self._is_drained = True
        return await self.raw.drain(seconds)

    async def close(self) -> None:
        for writer in self.writers:
            writer.close()
        if not self._is_drained:
            await self.drain(0)

    async def call(self, sent: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*self.address)
        self.writers.append(writer)
        writer.write(sent)
        return reader, writer


@asynccontextmanager
async def serving(handler: Handler, peer: str = "fdaa:0:18::9", **settings: str) -> AsyncIterator[Port]:
    port = Port(handler, peer, settings)
    port.raw.start()
    async with asyncio.timeout(PATIENCE_SECONDS):
        yield port
    await port.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, caller: Caller) -> None:
    """Say each line back, then who it was."""
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.write(f"goodbye {caller.client}\n".encode())


class Echo(asyncio.Protocol):
    """Does the same as a protocol."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)

    def eof_received(self) -> None:
        self._transport.write(f"goodbye {self._caller.client}\n".encode())


class Callable:
    """A handler that is an object."""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, caller: Caller) -> None:
        await echo(reader, writer, caller)


HANDLERS = pytest.mark.parametrize("handler", [echo, Callable(), Echo], ids=["streams", "object", "protocol"])
