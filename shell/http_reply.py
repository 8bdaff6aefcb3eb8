"""Read one HTTP/1.1 response within bounds; the body is counted, and kept only as far as asked.

Rules
- `http.client` reads the head (at most 100 lines of 64 KiB) and the body (chunked, Content-Length, or until the
  connection closes; RFC 9112 §6.3). A head or a body that is cut short is an error.
- At most 64 MiB are taken, whatever lengths the response claims.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse, RemoteDisconnected
from typing import TYPE_CHECKING

from shell.errors import ProbeError

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_BYTES = 64 * 1024 * 1024
_PIECE_BYTES = 64 * 1024
_FIRST_FINAL = 200


class ReplyError(ProbeError):
    """The response breaks a rule above."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A response: status, headers in order, how many bytes of body came, the first of them, and if it was the last."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body_bytes: int = 0
    body: bytes = b""
    closes: bool = True

    def header(self, name: str) -> str:
        """Return all values of a header joined by ", ", or "" (RFC 9110 §5.3)."""
        return ", ".join(value for key, value in self.headers if key.lower() == name.lower())


def read_reply(receive: Callable[[int], bytes], keep_bytes: int = 0) -> Reply:
    """Read the response to a GET or POST through `receive`, which returns b"" at the end of the connection."""
    incoming = _Incoming(receive)
    with HTTPResponse(incoming) as response:  # type: ignore[arg-type]  # of a socket it only uses makefile()
        try:
            response.begin()
            if incoming.ended:
                raise ReplyError("not an HTTP response: the connection closed in the middle of the head")
            if response.status < _FIRST_FINAL:
                raise ReplyError(f"not an HTTP response to a request: got the interim status {response.status}")
            closes = response.will_close
            body = response.read(keep_bytes) if keep_bytes else b""
            body_bytes = len(body) + sum(len(piece) for piece in iter(lambda: response.read(_PIECE_BYTES), b""))
        except RemoteDisconnected as error:
            raise ReplyError("empty reply: the connection was accepted, then closed with nothing sent") from error
        except (HTTPException, ValueError) as error:
            raise ReplyError(f"not an HTTP response: {str(error).strip()[:80]}") from error
    if response.length:
        missing = f"over {_MAX_BYTES}" if response.length > _MAX_BYTES else response.length
        raise ReplyError(f"not an HTTP response: the connection closed {missing} bytes before the body's end")
    return Reply(response.status, tuple(response.getheaders()), body_bytes, body, closes)


class _Incoming(io.RawIOBase):
    """The bytes of a connection, counted."""

    def __init__(self, receive: Callable[[int], bytes]) -> None:
        self._receive = receive
        self._left = _MAX_BYTES
        self.ended = False

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what BufferedReader gives
        piece = self._receive(len(buffer))
        buffer[: len(piece)] = piece
        self.ended = not piece
        self._left -= len(piece)
        if self._left < 0:
            raise ReplyError(f"expected a response of at most {_MAX_BYTES} bytes, got more")
        return len(piece)
