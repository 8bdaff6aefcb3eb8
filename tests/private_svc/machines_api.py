"""A stand-in for /.fly/api, the Machine's own API: an HTTP server on a Unix socket that answers as a test says."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

GRANTED = b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"ok":true}'
REFUSED = b"HTTP/1.1 412 Precondition Failed\r\nContent-Length: 28\r\n\r\nmachine has too much memory\n"
NO_HTTP = b"what?\n"
CLOSES = b""


class MachinesApi:
    """Counts what it was asked; `answer` None says nothing for ever."""

    def __init__(self, answer: bytes | None) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.was_asked = asyncio.Event()
        self._gone = asyncio.Event()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.read(10_000)  # empty: somebody looked whether we are here
        if head:
            self.asked.append(head.decode().partition("\r\n")[0])
            self.was_asked.set()
            if self.answer is None:
                await self._gone.wait()
            else:
                writer.write(self.answer)
        writer.close()

    def end(self) -> None:
        self._gone.set()


@asynccontextmanager
async def machines_api(where: Path, answer: bytes | None = GRANTED) -> AsyncIterator[MachinesApi]:
    """Listen on `where` and answer."""
    made = MachinesApi(answer)
    server = await asyncio.start_unix_server(made.take, where)
    try:
        yield made
    finally:
        made.end()
        server.close()
        await server.wait_closed()
