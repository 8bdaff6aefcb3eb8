"""The ways a client talks to the app: each `Caller` makes requests with ids and yields what came for each.

Plain streams, and no HTTP library: nothing is asked again or read over behind our back, and an answer that is not
the one asked for, or one byte too many, is seen.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tests.lab.soak.results import Outcome, Traffic

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Callable

MOST_BIG_BYTES = 1024 * 1024
MESSAGES = 5
_TEXT, _CLOSE = 0x81, 0x88
_MASKED = 0x80
_STATUSES = {b"502": Outcome.BAD_GATEWAY, b"503": Outcome.UNAVAILABLE, b"504": Outcome.GATEWAY_TIMEOUT}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came for one id, and from which run of which Machine."""

    outcome: Outcome
    machine_id: str = ""
    boot: str = ""
    detail: str = ""


class Caller(Protocol):
    """Makes requests; `at_once` of them belong together; `address` is what was dialled last."""

    at_once: int
    address: str

    def ask(self, ids: list[str]) -> AsyncIterator[Answer]:
        """Yield an answer for each id; raise `OSError`, `EOFError` or `TimeoutError` when no more will come."""

    async def close(self) -> None:
        """Close the connection, if there is one."""


def failed(error: Exception) -> Answer:
    """Return the answer that is none."""
    match error:
        case socket.gaierror():
            outcome = Outcome.NO_NAME
        case ConnectionRefusedError():
            outcome = Outcome.REFUSED
        case ConnectionError():
            outcome = Outcome.RESET
        case TimeoutError():
            outcome = Outcome.TIMEOUT
        case OSError():
            outcome = Outcome.UNREACHABLE
        case _:
            outcome = Outcome.CLOSED
    return Answer(outcome, detail=repr(error)[:200])


class _Connecting:
    """Resolves, dials, and remembers the address."""

    at_once = 1

    def __init__(self, host: str, port: int, rng: random.Random) -> None:
        self.address = ""
        self._host = host
        self._port = port
        self._rng = rng
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None

    async def _connected(self) -> asyncio.StreamWriter:
        if self._writer is None:
            self.address = ""
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            self.address = str(self._rng.choice(sorted(found))[4][0])
            self._reader, self._writer = await asyncio.open_connection(self.address, self._port)
        return self._writer

    async def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
            with suppress(OSError):  # it was reset; that has been told
                await writer.wait_closed()

    async def _read_answer(self, request_id: str, body: bytes) -> Answer:
        """Read a response and compare it with what must come."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        status, fields = _parsed(head)
        received = await self._reader.readexactly(int(fields.get("content-length", "0")))
        if fields.get("connection", "").lower() == "close":
            received += await self._reader.read()
            await self.close()
        machine_id, boot = fields.get("x-machine-id", ""), fields.get("x-soak-boot", "")
        if status != b"200":
            outcome = _STATUSES.get(status, Outcome.WRONG)
            return Answer(outcome, machine_id, detail=f"{head[:300]!r} {received[:100]!r}")
        if fields.get("x-soak-id") != request_id or received != body:
            return Answer(Outcome.WRONG, machine_id, boot, f"for {request_id}: {head[:300]!r} {received[:100]!r}")
        return Answer(Outcome.OK, machine_id, boot)


def _parsed(head: bytes) -> tuple[bytes, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
    return first.split(" ")[1].encode(), fields


class Get(_Connecting):
    """One GET after the other on a connection that is kept, or on one each; `slow` ones take a while."""

    def __init__(self, host: str, port: int, rng: random.Random, *, keep: bool, most_ms: int = 0) -> None:
        super().__init__(host, port, rng)
        self._keep = keep
        self._most_ms = most_ms

    async def ask(self, ids: list[str]) -> AsyncIterator[Answer]:
        writer = await self._connected()
        for request_id in ids:
            writer.write(self._request(request_id))
        await writer.drain()
        for request_id in ids:
            yield await self._read_answer(request_id, request_id.encode())

    def _request(self, request_id: str) -> bytes:
        query = f"?ms={self._rng.randint(0, self._most_ms)}" if self._most_ms else ""
        close = "" if self._keep else "Connection: close\r\n"
        return f"GET /app/echo/{request_id}{query} HTTP/1.1\r\nHost: {self._host}\r\n{close}\r\n".encode()


class Pipeline(Get):
    """Several GETs in one go."""

    at_once = 4


class Post(_Connecting):
    """A POST with a big body, which comes back."""

    async def ask(self, ids: list[str]) -> AsyncIterator[Answer]:
        (request_id,) = ids
        writer = await self._connected()
        body = self._rng.randbytes(self._rng.randint(1, MOST_BIG_BYTES))
        head = f"POST /app/echo/{request_id} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        yield await self._read_answer(request_id, body)


class WebSocket(_Connecting):
    """A WebSocket that says a few things and expects each of them back (RFC 6455)."""

    async def ask(self, ids: list[str]) -> AsyncIterator[Answer]:
        (request_id,) = ids
        writer = await self._connected()
        writer.write(
            f"GET /app/socket/{request_id} HTTP/1.1\r\nHost: {self._host}\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        status, fields = _parsed(head)
        machine_id, boot = fields.get("x-machine-id", ""), fields.get("x-soak-boot", "")
        outcome, detail = _STATUSES.get(status, Outcome.WRONG), repr(head[:300])
        if status == b"101" and fields.get("x-soak-id") == request_id:
            outcome, detail = await self._talk(writer, request_id)
        await self.close()
        yield Answer(outcome, machine_id, boot, detail)

    async def _talk(self, writer: asyncio.StreamWriter, request_id: str) -> tuple[Outcome, str]:
        for number in range(MESSAGES):
            said = f"{request_id} {number}".encode()
            writer.write(frame(_TEXT, said))
            opcode, heard = await self._frame()
            if opcode == _CLOSE:
                return Outcome.GOODBYE, repr(heard)
            if (opcode, heard) != (_TEXT, said):
                return Outcome.WRONG, f"for {said!r}: {opcode:#x} {heard!r}"
            await asyncio.sleep(self._rng.uniform(0, 0.3))  # somebody who thinks before the next message
        writer.write(frame(_CLOSE, struct.pack("!H", 1000)))
        opcode, heard = await self._frame()
        return (Outcome.OK, "") if opcode == _CLOSE else (Outcome.WRONG, f"after Close: {opcode:#x} {heard!r}")

    async def _frame(self) -> tuple[int, bytes]:
        opcode, length = await self._reader.readexactly(2)
        return opcode, await self._reader.readexactly(length)


def frame(opcode: int, payload: bytes) -> bytes:
    """Return a short frame as a client sends it."""
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return bytes([opcode, _MASKED | len(payload)]) + mask + masked


class Hello(_Connecting):
    """Takes a hello, saying something first or nothing."""

    def __init__(self, host: str, port: int, rng: random.Random, *, talks: bool) -> None:
        super().__init__(host, port, rng)
        self._talks = talks

    async def ask(self, ids: list[str]) -> AsyncIterator[Answer]:
        (request_id,) = ids
        writer = await self._connected()
        if self._talks:
            writer.write(request_id.encode() + b"\n")
        heard = await self._reader.read()
        await self.close()
        if heard == b"hello\n":
            yield Answer(Outcome.OK)
        else:
            yield Answer(Outcome.WRONG if heard else Outcome.CLOSED, detail=repr(heard))


CALLERS: dict[Traffic, Callable[[str, int, random.Random], Caller]] = {
    Traffic.KEEP_ALIVE: lambda host, port, rng: Get(host, port, rng, keep=True),
    Traffic.NEW: lambda host, port, rng: Get(host, port, rng, keep=False),
    Traffic.SLOW: lambda host, port, rng: Get(host, port, rng, keep=True, most_ms=600),
    Traffic.PIPELINED: lambda host, port, rng: Pipeline(host, port, rng, keep=True),
    Traffic.BIG: Post,
    Traffic.WEBSOCKET: WebSocket,
    Traffic.SILENT: lambda host, port, rng: Hello(host, port, rng, talks=False),
    Traffic.TALKER: lambda host, port, rng: Hello(host, port, rng, talks=True),
    Traffic.FLOOD: lambda host, port, rng: Get(host, port, rng, keep=False),
}
