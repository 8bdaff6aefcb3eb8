"""HTTP/1 heads: strict parsing, and how the body after each is framed. Pure.

Rules (RFC 9112 unless noted):

- Lines end in CRLF; a bare LF or CR, a folded line (5.2), a space before the colon (5.1) and NUL are refused.
- HTTP/1.1 needs exactly one Host (3.2). A request with both Transfer-Encoding and Content-Length, a
  repeated or non-decimal Content-Length, or Transfer-Encoding in HTTP/1.0 is refused (6.1, 6.3). The only
  transfer coding is `chunked`; another is 501.
- A response to HEAD, and 1xx, 204 and 304, have no body (6.3). Without a length the body ends with the
  connection.
- Connection and what it names, Keep-Alive, Proxy-Connection, TE, Trailer, Transfer-Encoding and Upgrade go one hop
  only (RFC 9110 section 7.6.1). Framing and Host are never dropped because Connection names them.
- A field that goes no further is dropped under every name that a server may take for it: CGI and WSGI read `_` as `-`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from lab.proxy.authority import is_authority, split_absolute
from lab.proxy.errors import ProxyError

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_HEAD_BYTES: Final = 64 * 1024
_REMEMBERED_BYTES: Final = 2048

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(rb"(%s) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])\r\n" % _TOKEN)
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n")
_FIELD = re.compile(rb"(%s):([\t\x20-\x7e\x80-\xff]*)" % _TOKEN)
_NOTHING: Final[list[bytes]] = []
_BARE_LF = re.compile(rb"(?<!\r)\n")
_DIGITS = re.compile(rb"[0-9]{1,18}")

ONE_HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)


class Fields:
    """Header or trailer fields in their order, never changed; names are lower case, values stripped."""

    __slots__ = ("_by_name", "_onward", "pairs")

    def __init__(self, pairs: list[tuple[bytes, bytes]]) -> None:
        """Keep `pairs`, and find them by name."""
        self.pairs = pairs
        self._onward: dict[frozenset[bytes], bytes] = {}
        self._by_name: dict[bytes, list[bytes]] = {}
        for name, value in pairs:
            if name in self._by_name:
                self._by_name[name].append(value)
            else:  # setdefault would make a list for every field
                self._by_name[name] = [value]

    def __repr__(self) -> str:
        """Show the fields."""
        return f"Fields({self.pairs})"

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of every field of that lower-case name."""
        return self._by_name.get(name, _NOTHING)

    def has_none_of(self, names: Iterable[bytes]) -> bool:
        """Tell whether there is no field of any of these lower-case names."""
        return self._by_name.keys().isdisjoint(names)

    def members(self, name: bytes) -> list[bytes]:
        """Return the lower-case members of a comma-separated list, over all fields of that name."""
        return [member.strip(b" \t") for value in self.values(name) for member in value.lower().split(b",")]

    def onward(self, dropped: frozenset[bytes]) -> bytes:
        """Return the lines that go on to the next hop, without the fields `dropped` for this proxy's own."""
        lines = self._onward.get(dropped)
        if lines is None:
            away = dropped | ONE_HOP | (frozenset(self.members(b"connection")) - _OF_THE_MESSAGE)
            lines = b"".join([b"%b: %b\r\n" % field for field in self.pairs if not _ends_here(field[0], away)])
            self._onward[dropped] = lines
        return lines


_OF_THE_MESSAGE: Final = frozenset({b"host", b"content-length"})


def _ends_here(name: bytes, away: frozenset[bytes]) -> bool:
    """Tell whether a field goes no further: it is one of `away`, or a server may take it for one that counts."""
    return name in away or (b"_" in name and name.replace(b"_", b"-") in away | _OF_THE_MESSAGE)


class BadMessageError(ProxyError):
    """A message breaks HTTP; `status` is what a client gets for it."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


class Framing(StrEnum):
    """How the end of a body is found."""

    LENGTH = "length"
    CHUNKED = "chunked"
    UNTIL_CLOSE = "until close"


@dataclass(frozen=True, slots=True)
class Body:
    """The framing of one body; `length` in bytes is used by `LENGTH` only."""

    framing: Framing
    length: int = 0


EMPTY: Final = Body(Framing.LENGTH, 0)


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request line and its fields."""

    method: bytes
    target: bytes
    minor: int
    fields: Fields

    @property
    def keep_alive(self) -> bool:
        """Whether the client wants to use the connection again."""
        return wants_keep_alive(self.minor, self.fields)


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """A status line and its fields."""

    minor: int
    status: int
    reason: bytes
    fields: Fields


def find_end(received: bytearray, scanned: int) -> int:
    """Return where the head ends, or -1 when it is incomplete; the first `scanned` bytes were seen before."""
    from_byte = max(0, scanned - 3)
    end = received.find(b"\r\n\r\n", from_byte)
    if end < 0 and _BARE_LF.search(received, from_byte):  # in a whole head the parser finds it
        raise BadMessageError("a line ends in a bare LF; expected CRLF")
    if (end + 4 if end >= 0 else len(received)) > MAX_HEAD_BYTES:
        raise BadMessageError(f"the head is longer than {MAX_HEAD_BYTES} bytes", 431)
    return end + 4 if end >= 0 else -1


def parse_request(head: bytes) -> RequestHead:
    """Parse a complete request head; raise `BadMessageError`."""
    return _recent_request(head) if len(head) <= _REMEMBERED_BYTES else _request(head)


def _request(head: bytes) -> RequestHead:
    head = head.removeprefix(b"\r\n")  # one empty line before a request is ignored (section 2.2)
    line = _REQUEST_LINE.match(head)
    if line is None:
        raise BadMessageError("the request line is not `METHOD target HTTP/1.x`")
    method, target, major, minor = line.groups()
    if major != b"1":
        raise BadMessageError(f"HTTP/{major.decode()} is not spoken here; expected HTTP/1.1", 505)
    if method == b"CONNECT":
        raise BadMessageError("CONNECT is not for a service behind a proxy", 501)
    request = RequestHead(method, target, min(int(minor), 1), _parse_fields(head, line.end()))
    return _with_checked_host(request)


_recent_request = lru_cache(maxsize=256)(_request)
"""Clients and apps send the same again and again: what was read lately, a head or a line, is not read again."""


def _with_checked_host(request: RequestHead) -> RequestHead:
    hosts = request.fields.values(b"host")
    if len(hosts) > 1 or (request.minor and not hosts):
        raise BadMessageError(f"expected one Host field, got {len(hosts)}")
    if hosts and hosts[0] and not is_authority(hosts[0]):
        raise BadMessageError("the Host field is not a host and perhaps a port")
    if request.target.startswith(b"/") or (request.target == b"*" and request.method == b"OPTIONS"):
        return request
    absolute = split_absolute(request.method, request.target)
    if absolute is None:
        raise BadMessageError("the request target is neither a path nor an http URI without userinfo and fragment")
    authority, target = absolute
    others = [(name, value) for name, value in request.fields.pairs if name != b"host"]
    return RequestHead(request.method, target, request.minor, Fields([(b"host", authority), *others]))


def parse_response(head: bytes) -> ResponseHead:
    """Parse a complete response head; raise `BadMessageError`."""
    line = _STATUS_LINE.match(head)
    if line is None:
        raise BadMessageError("the status line is not `HTTP/1.x NNN reason`", 502)
    return ResponseHead(int(line[1]), int(line[2]), line[3] or b"", _parse_fields(head, line.end()))


def _parse_fields(head: bytes, start: int) -> Fields:
    section = head[start:-2]
    if len(section) <= _REMEMBERED_BYTES:
        return _recent_fields(section)
    return Fields(list(map(_field, _lines(section))))


@lru_cache(maxsize=256)
def _recent_fields(section: bytes) -> Fields:
    return Fields(list(map(_recent_field, _lines(section))))


def _lines(section: bytes) -> list[bytes]:
    *lines, rest = section.split(b"\r\n")
    if rest:
        raise BadMessageError("a header line does not end in CRLF")
    return lines


def _field(line: bytes) -> tuple[bytes, bytes]:
    found = _FIELD.fullmatch(line)
    if found is None:
        raise BadMessageError("a header line is not `name: value`")
    return found[1].lower(), found[2].strip(b" \t")


_recent_field = lru_cache(maxsize=1024)(_field)


def check_field(line: bytes) -> None:
    """Raise `BadMessageError` unless a line, without its CRLF, is a field."""
    _field(line)


def wants_keep_alive(minor: int, fields: Fields) -> bool:
    """Return whether a message lets its connection be used again (RFC 9112 section 9.3)."""
    if not fields.values(b"connection"):
        return minor >= 1
    connection = fields.members(b"connection")
    if b"close" in connection:
        return False
    return minor >= 1 or b"keep-alive" in connection


def upgrade_asked(minor: int, fields: Fields) -> bytes | None:
    """Return the protocol an HTTP/1.1 message wants to change to (RFC 9110 section 7.8)."""
    upgrade = fields.values(b"upgrade")
    wanted = bool(upgrade) and minor == 1 and b"upgrade" in fields.members(b"connection")
    return b", ".join(upgrade) if wanted else None


def request_body(head: RequestHead) -> Body:
    """Return the framing of a request's body; raise `BadMessageError`."""
    return _stated_body(head.minor, head.fields) or EMPTY


def response_body(head: ResponseHead, method: bytes) -> Body:
    """Return the framing of the body of a response to `method`; raise `BadMessageError`."""
    stated = _stated_body(head.minor, head.fields)
    if method == b"HEAD" or head.status < 200 or head.status in (204, 304):  # noqa: PLR2004 HTTP's numbers
        return EMPTY
    return stated or Body(Framing.UNTIL_CLOSE)


def _stated_body(minor: int, fields: Fields) -> Body | None:
    codings = fields.values(b"transfer-encoding")
    lengths = fields.values(b"content-length")
    if codings:
        if lengths:
            raise BadMessageError("both Transfer-Encoding and Content-Length")
        if not minor:
            raise BadMessageError("Transfer-Encoding in HTTP/1.0")
        if len(codings) > 1 or codings[0].lower() != b"chunked":
            raise BadMessageError("the only transfer coding known here is `chunked`", 501)
        return Body(Framing.CHUNKED)
    if not lengths:
        return None
    if len(lengths) > 1 or not _DIGITS.fullmatch(lengths[0]):
        raise BadMessageError("Content-Length is not one decimal number")
    return Body(Framing.LENGTH, int(lengths[0]))
