"""Responses of a Machine through the lab's proxy: whatever it answers, the next request gets its own answer, or none.

The client asks twice on one connection. The Machine answers the first with the input, and the second, should it come on
the same connection or on another, with what it is meant to.
"""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import h11

from lab.proxy.exchange import HttpLimits
from tests.fuzz.loops import on_a_loop, send_all
from tests.fuzz.smuggling import LONGEST
from tests.fuzz.target import Broken, Target
from tests.lab.proxy.conftest import Place

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Hashable

    from tests.fuzz.loops import AsyncCheck

_ASKED = b"GET /input HTTP/1.1\r\nHost: a\r\n\r\nGET /own HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
_OWN = b"HTTP/1.1 200 OK\r\nX-Own: 1\r\nContent-Length: 3\r\n\r\nown"
_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")


class Machine:
    """Answers a path with what it is told to."""

    def __init__(self) -> None:
        self.says = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer until the input has been given: what follows it could only be guessed."""
        while head := await reader.readuntil(b"\r\n\r\n"):
            writer.write(_OWN if head.startswith(b"GET /own ") else self.says)
            if not head.startswith(b"GET /own "):
                writer.write_eof()
                while await reader.read(65536):
                    pass
                return


@asynccontextmanager
async def _serving() -> AsyncIterator[AsyncCheck]:
    place, machine = Place(), Machine()
    limits = HttpLimits(gone_seconds=0.01, linger_seconds=0.2)
    port = await place.proxy(place.machine("m1", machine.serve), limits=limits)

    async def check(data: bytes) -> Hashable:
        machine.says = data[:LONGEST]
        received = await send_all(port, _ASKED)
        failed = [line for line in place.log.lines if "connection failed" in line]
        place.log.lines.clear()
        if failed:
            raise Broken(f"an error that nobody expected: {failed[0]}")
        return _judged(received)

    try:
        yield check
    finally:
        for proxy in place.proxies:
            await proxy.close()
        for made in place.machines:
            await made.close()


def _judged(received: bytes) -> Hashable:
    """Read the answers as a client does: the second is the one that was meant, whatever the first was."""
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    client.send(h11.Request(method="GET", target="/input", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(received)
    client.receive_data(b"")
    status = 0
    try:
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                status = event.status_code
            if event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
                return status, "ended"
        if client.their_state is h11.MUST_CLOSE or client.our_state is h11.MUST_CLOSE:
            return status, "closed"
        client.start_next_cycle()
    except h11.RemoteProtocolError as error:
        return status, str(error)[:20]
    rest = client.trailing_data[0]
    answers = [int(number) for number in _STATUS.findall(rest)]
    if rest and not (answers[:1] == [200] and rest.endswith(b"\r\n\r\nown")) and not answers[:1] > [499]:
        raise Broken(f"the second answer: {rest[:300]!r}, all: {received[:600]!r}")
    return status, tuple(answers[:2])


TARGET = Target("proxy_response", lambda: on_a_loop(_serving()), 75)
