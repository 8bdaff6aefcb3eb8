"""What Fly Proxy adds to requests and responses. Pure.

Rules (FLY_FACTS section 3): `Fly-Client-IP` and the other `Fly-*` and `X-Forwarded-*` fields are overwritten;
`X-Forwarded-For` is appended to, and ends with the app's own address; `Fly-Request-Id` is a ULID and the
region. `fly-replay-src` and `fly-preferred-instance-unavailable` come from the proxy only. A response carries
`Server`, `Via` and `Fly-Request-Id`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lab.proxy.heads import end_to_end, upgrade_asked

if TYPE_CHECKING:
    import random

    from lab.proxy.heads import RequestHead, ResponseHead

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = [high + low for high in _CROCKFORD for low in _CROCKFORD]
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
_OF_RESPONSE: Final = frozenset({b"server", b"via", b"fly-request-id"})
_VIA: Final = b"1.1 fly.io"


@dataclass(frozen=True, slots=True)
class Edge:
    """Where clients reach the app: the region, the app's own address and port, and our Server field."""

    region: str
    address: str
    port: int
    server: bytes


def ulid(unix_ms: int, rng: random.Random) -> str:
    """Return a ULID: 48 bits of time, 80 of chance, 26 letters that sort by time."""
    number = (unix_ms & (2**48 - 1)) << 80 | rng.getrandbits(80)
    return "".join([_PAIRS[number >> shift & 1023] for shift in _ULID_SHIFTS])


def request_id(edge: Edge, unix_us: int, rng: random.Random) -> bytes:
    """Return a new `Fly-Request-Id`."""
    return f"{ulid(unix_us // 1000, rng)}-{edge.region}".encode()


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

    edge: Edge
    fly_request_id: bytes
    unix_us: int
    own_lines: bytes
    forwarded_for: bytes


def request_bytes(head: RequestHead, stamp: Stamp, more: bytes) -> bytes:
    """Return the head to send to a Machine; `more` are complete header lines."""
    lines = [b"%b %b HTTP/1.1\r\n" % (head.method, head.target)]
    if not head.minor and not head.fields.values(b"host"):
        lines.append(b"host: \r\n")
    dropped = _OVERWRITTEN if head.minor else _OVERWRITTEN | {b"expect"}
    lines += [b"%b: %b\r\n" % field for field in end_to_end(head.fields, dropped)]
    if head.fields.values(b"transfer-encoding"):
        lines.append(b"Transfer-Encoding: chunked\r\n")
    protocol = upgrade_asked(head.minor, head.fields)
    if protocol is not None:
        lines.append(b"Connection: Upgrade\r\nUpgrade: %b\r\n" % protocol)
    chain = b", ".join([*head.fields.values(b"x-forwarded-for"), stamp.forwarded_for])
    via = b", ".join([*head.fields.values(b"via"), b"1.%d fly.io" % head.minor])
    lines.append(
        b"%bX-Forwarded-For: %b\r\nFly-Request-Id: %b\r\nVia: %b\r\nX-Request-Start: t=%d\r\n%b\r\n"
        % (stamp.own_lines, chain, stamp.fly_request_id, via, stamp.unix_us, more)
    )
    return b"".join(lines)


def response_bytes(head: ResponseHead, stamp: Stamp, own_lines: bytes, *, keep_length: bool) -> bytes:
    """Return the head to send to the client; `own_lines` frame the body and rule the connection."""
    via = b", ".join([*head.fields.values(b"via"), _VIA])
    dropped = _OF_RESPONSE if keep_length else _OF_RESPONSE | {b"content-length"}
    lines = [b"HTTP/1.1 %d %b\r\n" % (head.status, head.reason)]
    lines += [b"%b: %b\r\n" % field for field in end_to_end(head.fields, dropped)]
    lines.append(
        b"%bServer: %b\r\nVia: %b\r\nFly-Request-Id: %b\r\n\r\n"
        % (own_lines, stamp.edge.server, via, stamp.fly_request_id)
    )
    return b"".join(lines)


def interim_bytes(head: ResponseHead) -> bytes:
    """Return a 1xx response to pass on."""
    fields = end_to_end(head.fields, frozenset({b"content-length"}))
    lines = b"".join(b"%b: %b\r\n" % field for field in fields)
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (head.status, head.reason, lines)


def own_response(stamp: Stamp, status: int, reason: str, text: str, *, more: bytes, with_body: bool) -> bytes:
    """Return a whole response that the proxy gives itself; `more` are complete header lines."""
    body = text.encode()
    head = (
        b"HTTP/1.1 %d %b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"
        b"%bServer: %b\r\nVia: %b\r\nFly-Request-Id: %b\r\n\r\n"
        % (status, reason.encode(), len(body), more, stamp.edge.server, _VIA, stamp.fly_request_id)
    )
    return head + body if with_body else head
