"""Requests through the lab's proxy: the Machine sees those that the client sent, or the proxy refuses.

- What goes to a Machine is HTTP to the letter, and every parser sees the same requests in it.
- They are the requests that other parsers see in the client's bytes, as far as those take them at all.
- Each answer is given to its own request, and the next client gets its own.
"""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from lab.proxy.exchange import HttpLimits
from tests.fuzz.loops import on_a_loop, send_all
from tests.fuzz.readings import PARSERS, Ended, H11Server, by_h11, by_the_letter
from tests.fuzz.smuggling import LONGEST, as_sent
from tests.fuzz.target import Broken, Target
from tests.lab.proxy.conftest import Place

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Hashable, Sequence

    from tests.fuzz.loops import AsyncCheck
    from tests.fuzz.readings import Request

_SEEN = re.compile(rb"x-seen: ([0-9]+)", re.IGNORECASE)
_MARKED = b"GET /the-next-client HTTP/1.1\r\nHost: shop.flycast\r\nConnection: close\r\n\r\n"


class Seen:
    """What a Machine saw: every connection's bytes, and all requests in their order."""

    def __init__(self) -> None:
        self.streams: list[bytearray] = []
        self.requests: list[Request] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer each request with its number."""
        server, stream, reads_for = H11Server(), bytearray(), self.requests
        self.streams.append(stream)
        counted = 0
        while data := await reader.read(65536):
            if reads_for is not self.requests:  # a kept connection, and another input
                reads_for, stream = self.requests, bytearray()
                self.streams.append(stream)
            stream += data
            server.feed(data)
            while counted < len(server.requests) and server.requests[counted].whole:
                request = server.requests[counted]
                counted += 1
                self.requests.append(request)
                number = b"%d" % len(self.requests)
                body = b"" if request.method == b"HEAD" else number
                writer.write(
                    b"HTTP/1.1 200 OK\r\nX-Seen: %b\r\nContent-Length: %d\r\n\r\n%b" % (number, len(number), body)
                )
            if server.ended is not Ended.OPEN:
                break
        writer.close()

    def taken(self) -> tuple[list[bytes], list[Request]]:
        """Return what was seen since the last time."""
        streams, requests = self.streams, self.requests
        self.streams, self.requests = [], []
        return [bytes(stream) for stream in streams if stream], requests


@asynccontextmanager
async def _serving() -> AsyncIterator[AsyncCheck]:
    place, seen = Place(), Seen()
    port = await place.proxy(place.machine("m1", seen.serve), limits=HttpLimits(linger_seconds=0.2))

    async def check(data: bytes) -> Hashable:
        data = data[:LONGEST]
        seen.taken()
        received = await send_all(port, data)
        after = await send_all(port, _MARKED)
        failed = [line for line in place.log.lines if "connection failed" in line]
        place.log.lines.clear()
        if failed:
            raise Broken(f"an error that nobody expected: {failed[0]}")
        streams, requests = seen.taken()
        return judge(data, received, after, streams, requests)

    try:
        yield check
    finally:
        for proxy in place.proxies:
            await proxy.close()
        for machine in place.machines:
            await machine.close()


def judge(data: bytes, received: bytes, after: bytes, streams: Sequence[bytes], requests: list[Request]) -> Hashable:
    """Compare what the Machine saw with what was sent; the last request is the next client's."""
    same_to_everybody(streams)
    marked = requests.pop() if requests else None
    if marked is None or marked.target != b"/the-next-client" or not after.endswith(b"%d" % (len(requests) + 1)):
        raise Broken(f"the next client: the Machine saw {marked}, the answer was {after[-200:]!r}")
    answered = [int(number) for number in _SEEN.findall(received)]
    if answered != list(range(1, len(answered) + 1)) or len(answered) > len(requests):
        raise Broken(f"answers: the client got {answered} of {len(requests)}")
    readings = as_sent(data, requests)
    refused = re.findall(rb"HTTP/1\.1 ([45]..)", received)
    return len(requests), len(answered), tuple(refused[-1:]), tuple(reading.ended for reading in readings)


def same_to_everybody(streams: Sequence[bytes]) -> None:
    """Raise `Broken` unless every parser sees the same in what a proxy has sent."""
    for stream in streams:
        strict = by_the_letter(stream)
        if strict.ended is Ended.REFUSED:
            raise Broken(f"to the letter: no HTTP went to the Machine: {stream!r}")
        for name, parser in PARSERS.items():
            reading = parser(stream)
            if reading.ended is Ended.OPEN and reading.requests != strict.requests:
                raise Broken(f"smuggled: {name} sees {reading}, to the letter it is {strict}: {stream!r}")
            if reading.ended is Ended.REFUSED and parser is by_h11:  # llhttp knows few methods
                raise Broken(f"{name} takes no more than {reading} of what went to the Machine: {stream!r}")


TARGET = Target("proxy_request", lambda: on_a_loop(_serving()), 30)
