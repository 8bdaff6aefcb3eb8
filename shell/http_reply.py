"""Read one HTTP/1.1 response, strictly and within bounds; the body is counted, not kept.

Rules (RFC 9112)
- The head has at most 64 KiB and ends with an empty line; every line ends with CR LF (§2.2), none is folded
  (§5.2).
- Interim 1xx responses are skipped, eight at most (RFC 9110 §15.2).
- The body: none for 204 and 304; chunked; else Content-Length; else until the connection closes (§6.3).
- Refused: Transfer-Encoding together with Content-Length, other codings, lengths that differ (§6.1, §6.3).
- At most 64 MiB of body.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shell.errors import ProbeError

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_HEAD_BYTES = 64 * 1024
_MAX_BODY_BYTES = 64 * 1024 * 1024
_MAX_INTERIM = 8
_MAX_CHUNK_LINE_BYTES = 1024
_PIECE_BYTES = 64 * 1024
_FIRST_FINAL, _NO_CONTENT, _NOT_MODIFIED, _SWITCHING = 200, 204, 304, 101
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: [^\r\n\0]*)?")
_HEADER_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?")


class ReplyError(ProbeError):
    """The response breaks a rule above."""


class EmptyReplyError(ReplyError):
    """The connection closed before the first byte."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A response: its status, its headers in order, and how many bytes of body came."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body_bytes: int = 0

    def header(self, name: str) -> str:
        """Return all values of a header joined by ", ", or "" (RFC 9110 §5.3)."""
        return ", ".join(value for key, value in self.headers if key == name.lower())


def read_reply(receive: Callable[[int], bytes]) -> Reply:
    """Read the response to a GET through `receive`, which returns b"" at the end of the connection."""
    incoming = _Incoming(receive)
    for _ in range(_MAX_INTERIM + 1):
        status, headers = _read_head(incoming)
        if status == _SWITCHING:
            break
        if status >= _FIRST_FINAL:
            head = Reply(status, headers)
            return Reply(status, headers, _skip_body(incoming, head))
    raise ReplyError("expected a final response, got interim ones without end")


class _Incoming:
    """Bytes that came and were not used yet."""

    def __init__(self, receive: Callable[[int], bytes]) -> None:
        self._receive = receive
        self._pending = bytearray()
        self._any = False

    def line(self, limit: int) -> bytes:
        """Return one line without its CR LF; `limit` bounds it in bytes."""
        searched = 0
        while (end := self._pending.find(b"\n", searched)) < 0:
            searched = len(self._pending)
            if searched > limit:
                break
            self._more()
        if end < 0 or end > limit:
            raise ReplyError(f"expected a line of at most {limit} bytes, got a longer one")
        line = bytes(self._pending[: end + 1])
        del self._pending[: end + 1]
        if not line.endswith(b"\r\n"):
            raise ReplyError("expected a line that ends with CR LF, got a bare LF")
        return line[:-2]

    def skip(self, size: int) -> None:
        """Drop exactly `size` bytes."""
        while size > len(self._pending):
            size -= len(self._pending)
            self._pending.clear()
            self._more()
        del self._pending[:size]

    def skip_all(self) -> int:
        """Drop everything up to the end of the connection; return how much it was."""
        size = len(self._pending)
        self._pending.clear()
        while piece := self._receive(_PIECE_BYTES):
            size += len(piece)
            _check_body(size)
        return size

    def _more(self) -> None:
        piece = self._receive(_PIECE_BYTES)
        if not piece and not self._any:
            raise EmptyReplyError("the connection was accepted, then closed with nothing sent")
        if not piece:
            raise ReplyError("the connection closed in the middle of the response")
        self._any = True
        self._pending += piece


def _read_head(incoming: _Incoming) -> tuple[int, tuple[tuple[str, str], ...]]:
    left = _MAX_HEAD_BYTES
    line = incoming.line(left)
    status_line = _STATUS_LINE.fullmatch(line)
    if status_line is None:
        raise ReplyError(f"expected an HTTP/1.1 status line, got {line[:60]!r}")
    headers = []
    while line := incoming.line(left := left - len(line) - 2):
        header = _HEADER_LINE.fullmatch(line)
        if header is None:
            raise ReplyError(f"expected a header line, got {line[:60]!r}")
        headers.append((header[1].decode("ascii").lower(), header[2].decode("latin-1")))
    return int(status_line[1]), tuple(headers)


def _skip_body(incoming: _Incoming, head: Reply) -> int:
    coding, lengths = head.header("transfer-encoding"), head.header("content-length")
    if coding and lengths:
        raise ReplyError("expected one body length, got both Transfer-Encoding and Content-Length")
    if head.status in {_NO_CONTENT, _NOT_MODIFIED}:
        return 0
    if coding:
        if coding.lower() != "chunked":
            raise ReplyError(f"expected Transfer-Encoding: chunked, got {coding!r:.60}")
        return _skip_chunks(incoming)
    if not lengths:
        return incoming.skip_all()
    size = _content_length(lengths)
    _check_body(size)
    incoming.skip(size)
    return size


def _content_length(text: str) -> int:
    values = {value.strip() for value in text.split(",")}
    value = values.pop()
    if values or not re.fullmatch(r"[0-9]{1,18}", value):
        raise ReplyError(f"expected one Content-Length in digits, got {text!r:.60}")
    return int(value)


def _skip_chunks(incoming: _Incoming) -> int:
    total = 0
    while size := _chunk_size(incoming.line(_MAX_CHUNK_LINE_BYTES)):
        total += size
        _check_body(total)
        incoming.skip(size)
        if incoming.line(_MAX_CHUNK_LINE_BYTES):
            raise ReplyError("expected CR LF after a chunk, got more data")
    left = _MAX_HEAD_BYTES
    while trailer := incoming.line(left):
        left -= len(trailer) + 2
    return total


def _chunk_size(line: bytes) -> int:
    size = _CHUNK_LINE.fullmatch(line)
    if size is None:
        raise ReplyError(f"expected a chunk size, got {line[:60]!r}")
    return int(size[1], 16)


def _check_body(size: int) -> None:
    if size > _MAX_BODY_BYTES:
        raise ReplyError(f"expected a body of at most {_MAX_BODY_BYTES} bytes, got more")
