"""Clients and apps for the proxy's tests: raw bytes over real sockets."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.lab.proxy.fake_machine import Serve

WAIT_SECONDS = 10.0


@dataclass(frozen=True)
class Answer:
    """One HTTP response as a client sees it."""

    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """One raw connection to the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, port: int) -> Client:
        async with asyncio.timeout(WAIT_SECONDS):
            return cls(*await asyncio.open_connection("127.0.0.1", port))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def all(self) -> bytes:
        """Everything until the proxy closes."""
        async with asyncio.timeout(WAIT_SECONDS):
            return await self.reader.read(-1)

    async def head(self) -> bytes:
        async with asyncio.timeout(WAIT_SECONDS):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def exactly(self, count: int) -> bytes:
        async with asyncio.timeout(WAIT_SECONDS):
            return await self.reader.readexactly(count)

    async def answer(self) -> Answer:
        """One response whose body has a stated length or is chunked."""
        head = await self.head()
        status, headers = parse(head)
        if headers.get("transfer-encoding") == "chunked":
            return Answer(status, headers, await self._chunks())
        return Answer(status, headers, await self.exactly(int(headers.get("content-length", "0"))))

    async def _chunks(self) -> bytes:
        body = b""
        async with asyncio.timeout(WAIT_SECONDS):
            while size := int(await self.reader.readline(), 16):
                body += await self.reader.readexactly(size)
                assert await self.reader.readexactly(2) == b"\r\n"
            while (line := await self.reader.readline()) != b"\r\n":
                body += b"|" + line.strip()
        return body

    async def close(self) -> None:
        self.writer.close()
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self.writer.wait_closed()
        except OSError:
            pass  # the proxy had closed first


def parse(head: bytes) -> tuple[int, dict[str, str]]:
    lines = head.decode("latin-1").split("\r\n")
    headers = dict(re.split(r":\s*", line, maxsplit=1) for line in lines[1:] if line)
    return int(lines[0].split()[1]), {name.lower(): value for name, value in headers.items()}


async def get(port: int, path: str = "/", extra: str = "", method: str = "GET") -> Answer:
    """One request on a connection of its own."""
    client = await Client.to(port)
    client.send(f"{method} {path} HTTP/1.1\r\nHost: shop.flycast\r\n{extra}\r\n".encode())
    try:
        return await client.answer() if method != "HEAD" else Answer(*parse(await client.head()), b"")
    finally:
        await client.close()


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """What an app reads: a head and its body, chunked or sized."""
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        body = b""
        while size := int((await reader.readline()).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        while (line := await reader.readline()) != b"\r\n":
            body += b"|" + line.strip()
        return head, body
    length = re.search(rb"content-length: (\d+)", lower)
    return head, await reader.readexactly(int(length[1])) if length else b""


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An HTTP app that answers every request with the head and body it got."""
    while True:
        head, body = await read_request(reader)
        text = head + body
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text))
        if not head.startswith(b"HEAD"):
            writer.write(text)
        await writer.drain()


def says(response: bytes, *, then_close: bool = False) -> Serve:
    """An app that answers every request with the same bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(response)
            await writer.drain()
            if then_close:
                return

    return serve


def reset(client: Client) -> None:
    """Close with a reset, as a killed client with unread bytes does."""
    sock = client.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.writer.transport.abort()
