"""What Fly Proxy adds to requests and responses. Pure.

Rules (docs/fly.md, "Who is calling"): `Fly-Client-IP` and the other `Fly-*` and `X-Forwarded-*` fields are overwritten;
`X-Forwarded-For` is appended to, and ends with the app's own address; `Fly-Request-Id` is a ULID and the
region. `fly-replay-src` and `fly-preferred-instance-unavailable` come from the proxy only. A response carries
`Server`, `Via` and `Fly-Request-Id`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lab.proxy.heads import upgrade_asked

if TYPE_CHECKING:
    import random

    from lab.proxy.heads import Fields, RequestHead, ResponseHead

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = [(high + low).encode() for high in _CROCKFORD for low in _CROCKFORD]
_ULID_SHIFTS: Final = range(120, -1, -10)

_OVERWRITTEN: Final = frozenset(
    {
        b"fly-client-ip",
        b"fly-preferred-instance-unavailable",
        b"fly-replay-src",
        b"fly-forwarded-port",
        b"fly-forwarded-proto",
        b"fly-forwarded-ssl",
        b"fly-region",
        b"fly-request-id",
        b"x-forwarded-for",
        b"x-forwarded-port",
        b"x-forwarded-proto",
        b"x-forwarded-ssl",
        b"x-request-start",
        b"via",
    }
)
_OVERWRITTEN_OR_NEW: Final = _OVERWRITTEN | {b"expect"}
_OF_RESPONSE: Final = frozenset({b"server", b"via", b"fly-request-id"})
_LENGTH: Final = frozenset({b"content-length"})
_OF_RESPONSE_OR_LENGTH: Final = _OF_RESPONSE | _LENGTH
_VIA: Final = b"1.1 fly.io"
_VIA_1_0: Final = b"1.0 fly.io"


_REQUEST: Final = (
    b"%b %b HTTP/1.1\r\n%b%b%bX-Forwarded-For: %b\r\nFly-Request-Id: %b\r\nVia: %b\r\nX-Request-Start: t=%d\r\n%b\r\n"
)


@dataclass(frozen=True, slots=True)
class Edge:
    """Where clients reach the app: the region, the app's own address and port, and our Server field."""

    region: str
    address: str
    port: int
    server: bytes


def ulid(unix_ms: int, rng: random.Random) -> bytes:
    """Return a ULID: 48 bits of time, 80 of chance, 26 letters that sort by time."""
    number = (unix_ms & (2**48 - 1)) << 80 | rng.getrandbits(80)
    return b"".join([_PAIRS[number >> shift & 1023] for shift in _ULID_SHIFTS])


def request_id(edge: Edge, unix_us: int, rng: random.Random) -> bytes:
    """Return a new `Fly-Request-Id`."""
    return b"%b-%b" % (ulid(unix_us // 1000, rng), edge.region.encode())


def client_lines(edge: Edge, client_ip: str) -> bytes:
    """Return the lines that are the same for every request on one client connection."""
    return (
        f"Fly-Client-IP: {client_ip}\r\n"
        f"X-Forwarded-Proto: http\r\nX-Forwarded-Port: {edge.port}\r\nX-Forwarded-SSL: off\r\n"
        f"Fly-Forwarded-Proto: http\r\nFly-Forwarded-Port: {edge.port}\r\nFly-Forwarded-SSL: off\r\n"
        f"Fly-Region: {edge.region}\r\n"
    ).encode()


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the proxy adds to one request and its response."""

    caller: Caller
    fly_request_id: bytes
    unix_us: int


class Caller:
    """One client connection, as far as it is the same in every stamp."""

    __slots__ = ("_rng", "edge", "forwarded_for", "lines")

    def __init__(self, edge: Edge, client_ip: str, rng: random.Random) -> None:
        """Stamp what `client_ip` sends to `edge`."""
        self.edge = edge
        self.lines = client_lines(edge, client_ip)
        self.forwarded_for = f"{client_ip}, {edge.address}".encode()
        self._rng = rng

    def stamp(self) -> Stamp:
        """Return the stamp of a request that has come now."""
        unix_us = time.time_ns() // 1000
        return Stamp(self, request_id(self.edge, unix_us, self._rng), unix_us)


def request_bytes(head: RequestHead, stamp: Stamp, more: bytes) -> bytes:
    """Return the head to send to a Machine; `more` are complete header lines."""
    fields = head.fields
    if fields.values(b"transfer-encoding"):
        more += b"Transfer-Encoding: chunked\r\n"
    if (protocol := upgrade_asked(head.minor, fields)) is not None:
        more += b"Connection: Upgrade\r\nUpgrade: %b\r\n" % protocol
    return _REQUEST % (
        head.method,
        head.target,
        b"" if head.minor or fields.values(b"host") else b"host: \r\n",
        fields.onward(_OVERWRITTEN if head.minor else _OVERWRITTEN_OR_NEW),
        stamp.caller.lines,
        _chain(fields, b"x-forwarded-for", stamp.caller.forwarded_for),
        stamp.fly_request_id,
        _chain(fields, b"via", _VIA if head.minor else _VIA_1_0),
        stamp.unix_us,
        more,
    )


def response_bytes(head: ResponseHead, stamp: Stamp, own_lines: bytes, *, keep_length: bool) -> bytes:
    """Return the head to send to the client; `own_lines` frame the body and rule the connection."""
    return b"HTTP/1.1 %d %b\r\n%b%bServer: %b\r\nVia: %b\r\nFly-Request-Id: %b\r\n\r\n" % (
        head.status,
        head.reason,
        head.fields.onward(_OF_RESPONSE if keep_length else _OF_RESPONSE_OR_LENGTH),
        own_lines,
        stamp.caller.edge.server,
        _chain(head.fields, b"via", _VIA),
        stamp.fly_request_id,
    )


def interim_bytes(head: ResponseHead) -> bytes:
    """Return a 1xx response to pass on."""
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (head.status, head.reason, head.fields.onward(_LENGTH))


def _chain(fields: Fields, name: bytes, own: bytes) -> bytes:
    """Return the list field of that name with our own member at its end."""
    before = fields.values(name)
    return b", ".join([*before, own]) if before else own


def own_response(stamp: Stamp, status: int, reason: str, text: str, *, more: bytes, with_body: bool) -> bytes:
    """Return a whole response that the proxy gives itself; `more` are complete header lines."""
    body = text.encode()
    head = (
        b"HTTP/1.1 %d %b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"
        b"%bServer: %b\r\nVia: %b\r\nFly-Request-Id: %b\r\n\r\n"
        % (status, reason.encode(), len(body), more, stamp.caller.edge.server, _VIA, stamp.fly_request_id)
    )
    return head + body if with_body else head
