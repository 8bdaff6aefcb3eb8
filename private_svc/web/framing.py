"""Where each HTTP/1.1 request begins and ends, decided before aiohttp reads a byte of it.

aiohttp's parser lets pass what RFC 9110 and 9112 say must be refused, and hands the trailers of a chunked body on as
headers of the next request. So a request head is checked here, and a body is cut to its length; a chunked one is put
together again without extensions and without trailers. What aiohttp gets can be read in one way only.

| what came                                               | answer | rule                 |
|---------------------------------------------------------|--------|----------------------|
| a request line or field that breaks the grammar         | 400    | RFC 9112 2.2, 3, 5   |
| `HTTP/2.0`; no version, or `HTTP/0.9`                   | 505, 400 | RFC 9110 2.5, 15.6.6 |
| `HTTP/1.2` and later                                    | read as HTTP/1.1 | RFC 9112 2.3 |
| a method that aiohttp's parser does not know            | 501    | RFC 9110 9.1         |
| a request line, a head that is too long                 | 414, 431 | RFC 9112 3, RFC 6585 5 |
| HTTP/1.1 without Host; two of them; one that is no host | 400    | RFC 9112 3.2         |
| a user name, or no host, in the target                  | 400    | RFC 9110 4.2.4       |
| Transfer-Encoding in HTTP/1.0, or beside Content-Length | 400    | RFC 9112 6.1         |
| Transfer-Encoding that does not end with `chunked`      | 400    | RFC 9112 6.3         |
| another coding before `chunked`                         | 501    | RFC 9112 6.1         |
| two Content-Lengths, or one that is no number           | 400    | RFC 9112 6.3         |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

LINE_AT_MOST = 8190
HEAD_AT_MOST = 32 * 1024
FIELDS_AT_MOST = 128
TRAILERS_AT_MOST = 8 * 1024
REMEMBERED_AT_MOST = 64
REMEMBERED_SIZE_AT_MOST = 1024

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_FIELD = _TOKEN + rb":[^\x00-\x08\x0a-\x1f\x7f]*+\r\n"
_HEAD = re.compile(rb"(%b) ([^\x00-\x20\x7f#]++) HTTP/([0-9])\.([0-9])\r\n((?:%b)*+)\r\n" % (_TOKEN, _FIELD))
_VERSION = re.compile(rb"HTTP/([0-9])\.[0-9]")
_FRAMING_FIELD = re.compile(rb"(?im)^(host|content-length|transfer-encoding|upgrade):[\t ]*(.*?)[\t ]*\r$")
_AUTHORITY = rb"(?:[0-9A-Za-z._~!$&'()*+,;=%%-]%b|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?"
_HOST = re.compile(_AUTHORITY % b"*")
_URL = re.compile(rb"(?i)https?://%b(?:[/?].*)?" % (_AUTHORITY % b"+"))
_TUNNEL_TO = re.compile(_AUTHORITY % b"+")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_NOT_IN_A_HEAD = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_EMPTY_LINES = re.compile(rb"\A(?:\r\n)++")
_NO_METHOD = re.compile(rb"(?!\Z|%b(?: |\Z))" % _TOKEN)
_TRAILER = re.compile(_FIELD)
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[\t ]*;[^\x00-\x08\x0a-\x1f\x7f]*)?\r\n")
_METHODS = frozenset(
    b"GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH "  # RFC 9110, RFC 5789
    b"PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK REPORT MKACTIVITY CHECKOUT MERGE SEARCH ACL BIND UNBIND REBIND "
    b"LINK UNLINK MKCALENDAR".split()  # those of IANA's register that aiohttp's parser knows
)


class BadRequestError(Exception):
    """What came is no request that this service reads; `status` and `reason` are the answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Body(Protocol):
    """Cuts the body of one request out of what a connection carries."""

    is_complete: bool

    def cut(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what of `data` belongs to the body, as aiohttp gets it, and what follows; raise `BadRequestError`."""


@dataclass(frozen=True, slots=True)
class Head:
    """A request head: `data` as aiohttp gets it, how its body is framed, and whether it asks for another protocol."""

    data: bytes
    body: Body
    asks_for_tunnel: bool


def read_head(data: bytes) -> Head:
    """Return the head that `data` is, up to its empty line; raise `BadRequestError`.

    Small heads without a body are remembered, because health checks and pages that look again repeat theirs.
    """
    head = _remembered.get(data)
    if head is None:
        head = _read_head(data)
        if head.body is NO_BODY and len(data) <= REMEMBERED_SIZE_AT_MOST:
            if len(_remembered) >= REMEMBERED_AT_MOST:
                del _remembered[next(iter(_remembered))]
            _remembered[data] = head
    return head


def _read_head(data: bytes) -> Head:
    parts = _HEAD.fullmatch(data)
    if parts is None:
        raise _fault_of(data)
    method, target, major, minor, fields = parts.groups()
    if major != b"1":
        raise _wrong_version(int(major))
    if method not in _METHODS:
        raise BadRequestError(HTTPStatus.NOT_IMPLEMENTED, "this method is not implemented")
    if parts.start(5) > LINE_AT_MOST:
        raise _line_too_long()
    if fields.count(b"\n") > FIELDS_AT_MOST:
        raise _too_large(f"{FIELDS_AT_MOST} header fields")
    _check_target(method, target)
    found: dict[bytes, list[bytes]] = {}
    for name, value in _FRAMING_FIELD.findall(fields):
        found.setdefault(name.lower(), []).append(value)
    is_1_0 = minor == b"0"
    _check_host(found.get(b"host", []), needed=not is_1_0)
    body = _body(found.get(b"transfer-encoding"), found.get(b"content-length"), is_1_0=is_1_0)
    if minor > b"1":
        at = parts.start(4)
        data = data[:at] + b"1" + data[at + 1 :]
    return Head(data, body, body.is_complete and (b"upgrade" in found or method == b"CONNECT"))


_remembered: dict[bytes, Head] = {}


def without_empty_lines(data: bytes) -> bytes:
    """Return `data` without the empty lines that may stand before a request (RFC 9112 section 2.2)."""
    return _EMPTY_LINES.sub(b"", data, 1)


def check_beginning(data: bytes, checked: int = 0) -> None:
    """Raise `BadRequestError` when `data`, which is no whole head yet, cannot become one.

    The first `checked` bytes have been checked before.
    """
    if data == b"\r":  # an empty line may stand before a request
        return
    if _NO_METHOD.match(data) or _NOT_IN_A_HEAD.search(data, max(0, checked - 1)):
        raise _fault_of(data)
    if len(data) > LINE_AT_MOST and data.find(b"\r\n", 0, LINE_AT_MOST) < 0:
        raise _line_too_long()
    if len(data) > HEAD_AT_MOST:
        raise _too_large(f"{HEAD_AT_MOST} bytes in a head")


def _fault_of(data: bytes) -> BadRequestError:
    line = data.partition(b"\r\n")[0]
    version = _VERSION.fullmatch(line.rpartition(b" ")[2])
    if version is not None and version[1] != b"1":
        return _wrong_version(int(version[1]))
    return _bad("expected an HTTP/1.1 request")


def _bad(reason: str) -> BadRequestError:
    return BadRequestError(HTTPStatus.BAD_REQUEST, reason)


def _wrong_version(major: int) -> BadRequestError:
    if major == 0:
        return _bad("expected HTTP/1.0 or HTTP/1.1")
    return BadRequestError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "expected HTTP/1.0 or HTTP/1.1")


def _line_too_long() -> BadRequestError:
    reason = f"expected a request line of {LINE_AT_MOST} bytes at most"
    return BadRequestError(HTTPStatus.REQUEST_URI_TOO_LONG, reason)


def _too_large(limit: str) -> BadRequestError:
    return BadRequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"expected at most {limit}")


def _check_target(method: bytes, target: bytes) -> None:
    """Refuse a target that is none of the four forms (RFC 9112 section 3.2)."""
    if method == b"CONNECT":
        is_good = _TUNNEL_TO.fullmatch(target) is not None
    elif target == b"*":
        is_good = method == b"OPTIONS"
    else:
        is_good = target.startswith(b"/") or _URL.fullmatch(target) is not None
    if not is_good:
        raise _bad("expected a path, or a URL of a host without a user name")


def _check_host(hosts: list[bytes], *, needed: bool) -> None:
    if len(hosts) > 1 or (needed and not hosts):
        raise _bad(f"expected one Host, got {len(hosts)}")
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise _bad("expected a host name and perhaps a port in Host")


def _body(codings: list[bytes] | None, lengths: list[bytes] | None, *, is_1_0: bool) -> Body:
    if codings is not None:
        if is_1_0 or lengths is not None:
            raise _bad("Transfer-Encoding is for HTTP/1.1, without Content-Length")
        named = [coding.strip(b" \t").lower() for value in codings for coding in value.split(b",")]
        if named[-1] != b"chunked" or b"chunked" in named[:-1] or b"" in named:
            raise _bad("expected chunked last in Transfer-Encoding, and once")
        if len(named) > 1:
            raise BadRequestError(HTTPStatus.NOT_IMPLEMENTED, "expected no transfer coding but chunked")
        return ChunkedBody()
    if lengths is None:
        return NO_BODY
    if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
        raise _bad("expected one Content-Length, a number")
    return SizedBody(int(lengths[0]))


class SizedBody:
    """A body of so many bytes, perhaps none."""

    __slots__ = ("_left", "is_complete")

    def __init__(self, size: int) -> None:
        self._left = size
        self.is_complete = size == 0

    def cut(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the bytes of the body in `data`, and what follows."""
        own, rest = data[: self._left], data[self._left :]
        self._left -= len(own)
        self.is_complete = self._left == 0
        return own, rest


NO_BODY = SizedBody(0)


class ChunkedBody:
    """A chunked body, which loses its extensions and trailers (RFC 9112 section 7.1)."""

    __slots__ = ("_chunk_left", "_line", "_read_line", "_trailers_left", "is_complete")

    def __init__(self) -> None:
        self.is_complete = False
        self._line = b""  # the beginning of a line whose end has not come
        self._read_line = self._read_size  # what the next line is
        self._chunk_left = 0
        self._trailers_left = TRAILERS_AT_MOST

    def cut(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the chunks in `data` in their plain form, and what follows the body; raise `BadRequestError`."""
        plain = []
        data, self._line = self._line + data, b""
        while data and not self.is_complete:
            if self._chunk_left:
                own, data = data[: self._chunk_left], data[self._chunk_left :]
                self._chunk_left -= len(own)
            else:
                end = data.find(b"\n", 0, LINE_AT_MOST) + 1
                if not end:
                    self._line = data
                    break
                own, data = self._read_line(data[:end]), data[end:]
            plain.append(own)
        if len(self._line) >= LINE_AT_MOST:
            raise _bad("expected the end of a line of the body")
        return b"".join(plain), b"" if self._line else data

    def _read_size(self, line: bytes) -> bytes:
        found = _CHUNK_LINE.fullmatch(line)
        if found is None:
            raise _bad("expected the size of a chunk")
        self._chunk_left = int(found[1], 16)
        self._read_line = self._read_chunk_end if self._chunk_left else self._read_trailer
        return b"%x\r\n" % self._chunk_left if self._chunk_left else b""

    def _read_chunk_end(self, line: bytes) -> bytes:
        if line != b"\r\n":
            raise _bad("expected the end of a chunk")
        self._read_line = self._read_size
        return line

    def _read_trailer(self, line: bytes) -> bytes:
        if line == b"\r\n":
            self.is_complete = True
            return b"0\r\n\r\n"
        self._trailers_left -= len(line)
        if self._trailers_left < 0 or not _TRAILER.fullmatch(line):
            raise _bad("expected a trailer field, or the end of the body")
        return b""
