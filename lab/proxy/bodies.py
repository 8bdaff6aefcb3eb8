"""HTTP/1 bodies: taking one apart as its bytes come, and writing it again. Pure.

Rules: RFC 9112 section 7.1. Chunk sizes are hexadecimal digits, lines end in CRLF, extensions are dropped. So are
trailers, once each is seen to be a field: RFC 9110 section 6.5.1 lets a proxy drop them, and a server behind it might
merge them with headers. A body that ends early is an error, never a shorter body.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from lab.proxy.heads import BadMessageError, Framing, check_field

if TYPE_CHECKING:
    from lab.proxy.heads import Body

_MAX_SIZE_LINE_BYTES: Final = 1024
_MAX_TRAILER_BYTES: Final = 16 * 1024
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n")


class CutShortError(BadMessageError):
    """The connection ended before the body did."""


class BodyReader:
    """Takes one body out of the bytes of a connection."""

    def __init__(self, body: Body) -> None:
        """Expect `body`."""
        self.done = body.framing is Framing.LENGTH and body.length == 0
        self._framing = body.framing
        self._left = body.length
        self._after_chunk = False
        self._in_trailers = False
        self._trailer_bytes = 0

    def feed(self, received: bytearray) -> bytes:
        """Remove what `received` holds of the body and return its payload; raise `BadMessageError`."""
        if self._framing is Framing.CHUNKED:
            return self._chunks(received)
        count = len(received) if self._framing is Framing.UNTIL_CLOSE else min(self._left, len(received))
        payload = bytes(received[:count])
        del received[:count]
        if self._framing is Framing.LENGTH:
            self._left -= count
            self.done = self._left == 0
        return payload

    def end(self) -> None:
        """Take note that no more bytes will come; raise `CutShortError` when some are missing."""
        if self._framing is not Framing.UNTIL_CLOSE and not self.done:
            raise CutShortError("the connection ended in the middle of a body")
        self.done = True

    def _chunks(self, received: bytearray) -> bytes:
        pieces = []
        at = 0
        while not self.done:
            if self._left:
                piece = bytes(received[at : at + self._left])
                if not piece:
                    break
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                self._after_chunk = self._left == 0
                continue
            following = self._line(received, at)
            if following == at:
                break
            at = following
        del received[:at]
        return b"".join(pieces)

    def _line(self, received: bytearray, at: int) -> int:
        """Read what stands between chunks; return where it ends, or `at` when it is incomplete."""
        if self._after_chunk:
            return self._chunk_end(received, at)
        if self._in_trailers:
            return self._trailer(received, at)
        end = received.find(b"\n", at, at + _MAX_SIZE_LINE_BYTES)
        if end < 0:
            if len(received) - at >= _MAX_SIZE_LINE_BYTES:
                raise BadMessageError(f"a chunk size line is longer than {_MAX_SIZE_LINE_BYTES} bytes")
            return at
        size = _SIZE_LINE.fullmatch(received, at, end + 1)
        if size is None:
            raise BadMessageError("a chunk does not begin with its size in hexadecimal and CRLF")
        self._left = int(size[1], 16)
        self._in_trailers = self._left == 0
        return end + 1

    def _chunk_end(self, received: bytearray, at: int) -> int:
        end = bytes(received[at : at + 2])
        if not b"\r\n".startswith(end):
            raise BadMessageError("a chunk does not end in CRLF after its stated size")
        if len(end) < len(b"\r\n"):
            return at
        self._after_chunk = False
        return at + 2

    def _trailer(self, received: bytearray, at: int) -> int:
        """Read one line of the trailers, or the empty line behind them."""
        end = received.find(b"\n", at) + 1
        if self._trailer_bytes + (end or len(received)) - at > _MAX_TRAILER_BYTES:
            raise BadMessageError(f"the trailers are longer than {_MAX_TRAILER_BYTES} bytes")
        if not end:
            return at
        line = bytes(received[at:end])
        if not line.endswith(b"\r\n"):
            raise BadMessageError("a trailer line ends in a bare LF; expected CRLF")
        if line == b"\r\n":
            self.done = True
        else:
            check_field(line[:-2])
            self._trailer_bytes += len(line)
        return end


LAST_CHUNK: Final = b"0\r\n\r\n"


def chunk(payload: bytes) -> bytes:
    """Return `payload`, which is not empty, as one chunk."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)
