"""One stream of bytes, read as HTTP/1 requests by several parsers that know nothing of one another.

Where two of them see different requests in the same bytes, one may smuggle a request past the other (RFC 9112 section
11.2). Each reading says which requests it saw, and how it ended.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import h11
from aiohttp import http_parser
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import BadHttpMessage

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.streams import StreamReader

_NO_LIMIT: Final = 1 << 20
_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_HEAD: Final = re.compile(
    rb"(%s) ([\x21-\x7e]+) HTTP/1\.1\r\n((?:%s:[\t\x20-\x7e\x80-\xff]*\r\n)*)\r\n" % (_TOKEN, _TOKEN)
)
_CHUNK: Final = re.compile(rb"([0-9a-f]+)\r\n")
_TRAILERS: Final = re.compile(rb"(?:%s:[\t\x20-\x7e\x80-\xff]*\r\n)*\r\n" % _TOKEN)


class Ended(StrEnum):
    """How a reading ended."""

    OPEN = "waiting for more"
    CLOSED = "at a request that is the last of its connection"
    REFUSED = "at what is no request"


@dataclass(frozen=True, slots=True)
class Request:
    """A request as a parser saw it; `whole` when its body came to its end.

    The method is in capitals, as one of the parsers has it whatever came.
    """

    method: bytes
    target: bytes
    body: bytes
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Reading:
    """What one parser saw in a stream."""

    requests: tuple[Request, ...]
    ended: Ended

    @property
    def whole(self) -> tuple[Request, ...]:
        """The requests that came to their end."""
        return tuple(request for request in self.requests if request.whole)


class H11Server:
    """h11 as a server that answers every request 404, as the bytes come."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.ended = Ended.OPEN
        self._may_go_on = True
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_NO_LIMIT)

    def feed(self, data: bytes) -> None:
        """Read on."""
        if self.ended is not Ended.OPEN or not data:  # to h11 no bytes are the end
            return
        self._connection.receive_data(data)
        try:
            while self._step():
                pass
        except h11.RemoteProtocolError:
            self.ended = Ended.REFUSED

    def _step(self) -> bool:
        connection = self._connection
        event = connection.next_event()
        if isinstance(event, h11.Request):
            self._may_go_on = event.http_version != b"1.0"  # h11 takes no second request there, whatever is asked for
            self.requests.append(Request(event.method.upper(), event.target, b"", whole=False))
        elif isinstance(event, h11.Data):
            last = self.requests.pop()
            self.requests.append(Request(last.method, last.target, last.body + event.data, whole=False))
        elif isinstance(event, h11.EndOfMessage):
            last = self.requests.pop()
            self.requests.append(Request(last.method, last.target, last.body))
            connection.send(h11.Response(status_code=404, headers=[("Content-Length", "0")]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is h11.MUST_CLOSE:
                self.ended = Ended.CLOSED if self._may_go_on else Ended.REFUSED
                return False
            connection.start_next_cycle()
        return event is not h11.NEED_DATA


def by_h11(data: bytes) -> Reading:
    """Read with h11, which takes some things that RFC 9112 lets a server take, and some not."""
    server = H11Server()
    server.feed(data)
    return Reading(tuple(server.requests), server.ended)


def by_aiohttp_in_c(data: bytes) -> Reading:
    """Read with the parser of aiohttp that is llhttp."""
    return _by_aiohttp(http_parser.HttpRequestParser, data)


def by_aiohttp_in_python(data: bytes) -> Reading:
    """Read with the parser of aiohttp that is Python, which it falls back to."""
    return _by_aiohttp(http_parser.HttpRequestParserPy, data)


def _by_aiohttp(parser_class: type[http_parser.HttpRequestParser], data: bytes) -> Reading:
    """Feed byte by byte, from within a loop: an error takes with it what else was in the same piece.

    A request for another protocol is one like others, and HTTP follows: no server here changes the protocol.
    """
    parser = _new(parser_class)
    seen: list[tuple[http_parser.RawRequestMessage, StreamReader]] = []
    ended = Ended.OPEN
    for at in range(len(data)):
        try:
            messages, upgraded, _ = parser.feed_data(data[at : at + 1])
        except BadHttpMessage:
            ended = Ended.REFUSED
            break
        seen += messages
        if seen and seen[-1][0].should_close and seen[-1][1].is_eof():
            ended = Ended.CLOSED
            break
        if upgraded:
            parser = _new(parser_class)
    requests = []
    for message, payload in seen:
        broken = payload.exception() is not None
        body = b"" if broken else payload.read_nowait(-1)
        target = message.path.encode("utf-8", "surrogateescape")
        requests.append(Request(message.method.encode(), target, body, payload.is_eof() and not broken))
        if broken:
            ended = Ended.REFUSED
    return Reading(tuple(requests), ended)


def _new(parser_class: type[http_parser.HttpRequestParser]) -> http_parser.HttpRequestParser:
    loop = asyncio.get_running_loop()
    return parser_class(
        BaseProtocol(loop), loop, _NO_LIMIT, max_line_size=_NO_LIMIT, max_field_size=_NO_LIMIT, max_headers=_NO_LIMIT,
        auto_decompress=False,
    )  # fmt: skip


def by_the_letter(data: bytes) -> Reading:
    """Read as RFC 9112 has it and not one letter more: for what a proxy wrote itself."""
    requests: list[Request] = []
    while data:
        head = _HEAD.match(data)
        if head is None:
            return Reading(tuple(requests), Ended.REFUSED if b"\r\n\r\n" in data else Ended.OPEN)
        lines = (line.partition(b":") for line in head[3].split(b"\r\n")[:-1])
        fields = [(name.lower(), value.strip()) for name, _, value in lines]
        body, rest, whole = _body(data[head.end() :], fields)
        requests.append(Request(head[1].upper(), head[2], body, whole))
        if not whole:
            return Reading(tuple(requests), Ended.REFUSED if rest else Ended.OPEN)
        data = rest
    return Reading(tuple(requests), Ended.OPEN)


def _body(data: bytes, fields: list[tuple[bytes, bytes]]) -> tuple[bytes, bytes, bool]:
    """Return the body, what follows, and whether it is whole; what follows a body that is not is what is wrong."""
    framing = [(name, value) for name, value in fields if name in {b"content-length", b"transfer-encoding"}]
    if not framing:
        return b"", data, True
    if len(framing) > 1:
        return b"", b"two framings", False
    name, value = framing[0]
    if name == b"content-length" and value.isdigit():
        return data[: int(value)], data[int(value) :], len(data) >= int(value)
    return _chunks(data) if value == b"chunked" else (b"", b"no framing", False)


def _chunks(data: bytes) -> tuple[bytes, bytes, bool]:
    body = b""
    while chunk := _CHUNK.match(data):
        size = int(chunk[1], 16)
        data = data[chunk.end() :]
        if not size:
            end = _TRAILERS.match(data)
            return body, data[end.end() :] if end else b"", end is not None
        if len(data) >= size + 2 and data[size : size + 2] != b"\r\n":
            return body, b"no end of the chunk", False
        body, data = body + data[:size], data[size + 2 :]
    return body, b"", False


PARSERS: Final[dict[str, Callable[[bytes], Reading]]] = {
    "h11": by_h11,
    "aiohttp in C": by_aiohttp_in_c,
    "aiohttp in Python": by_aiohttp_in_python,
}
