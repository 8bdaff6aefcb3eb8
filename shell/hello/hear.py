"""Listen to one raw TCP connection until the other side closes it.

Rules
- The probe says nothing: the service speaks first.
- From the first byte on, the other side has 2 s for its line and for closing. FIN is a clean close; RST is not, and
  can destroy what was said before it (RFC 1122 §4.2.2.13).
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from shell.phases import Edge

CLOSE_SECONDS = 2.0
_MOST_BYTES = 64 * 1024
_MOST_SAID = 200  # characters
_NO_ROUTE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


class End(StrEnum):
    """How a hello ended, in words."""

    CLEAN = "closed cleanly"
    RESET = "closed by reset"
    OPEN = "left open"
    EMPTY = "accepted, then closed with nothing said"
    CUT = "accepted, then reset with nothing said"
    SILENT = "accepted, but nothing said in time (timeout)"
    UNANSWERED = "not accepted in time (timeout)"
    REFUSED = "refused"
    NO_ROUTE = "no route to the address"
    FAILED = "the connection failed"

    @property
    def answered(self) -> bool:
        """Tell whether something was said."""
        return self in {End.CLEAN, End.RESET, End.OPEN}

    @property
    def is_well(self) -> bool:
        """Tell whether something was said, and nothing was done that can destroy it."""
        return self in {End.CLEAN, End.OPEN}


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of one connection: its first line, at most 200 characters, and times where there are any."""

    end: End
    said: str = ""
    connect_ms: float | None = None
    first_byte_ms: float | None = None


def hear(address: str, port: int, timeout_seconds: float, edge: Edge) -> Heard:
    """Connect and listen until the other side closes; failures are ends."""
    began = edge.clock()
    try:
        connection = edge.connect(address, port, timeout_seconds)
    except OSError as error:
        return Heard(_end_of(error))
    with connection:
        connected = edge.clock()
        content, first_byte, end = _listen(connection, began + timeout_seconds, edge.clock)
    connect_ms = (connected - began) * 1000
    first_byte_ms = None if first_byte is None else (first_byte - connected) * 1000
    return Heard(end, _first_line(content), connect_ms, first_byte_ms)


def _listen(connection: socket.socket, deadline: float, clock: Callable[[], float]) -> tuple[bytes, float | None, End]:
    """Return what was said, when it began, and how it ended."""
    content, first_byte = b"", None
    while len(content) < _MOST_BYTES and (left := deadline - clock()) > 0:
        connection.settimeout(left)
        try:
            piece = connection.recv(4096)
        except TimeoutError:
            break
        except (ConnectionResetError, BrokenPipeError):
            return content, first_byte, End.RESET if content else End.CUT
        except OSError:
            return content, first_byte, End.FAILED
        if not piece:
            return content, first_byte, End.CLEAN if content else End.EMPTY
        if first_byte is None:
            first_byte = clock()
            deadline = min(deadline, first_byte + CLOSE_SECONDS)
        content += piece
    return content, first_byte, End.OPEN if content else End.SILENT


def _first_line(content: bytes) -> str:
    line = content.partition(b"\n")[0].removesuffix(b"\r").decode("utf-8", "backslashreplace")
    return line if len(line) <= _MOST_SAID else f"{line[:_MOST_SAID]}..."


def _end_of(error: OSError) -> End:
    if isinstance(error, TimeoutError | BlockingIOError):
        return End.UNANSWERED
    if isinstance(error, ConnectionRefusedError):
        return End.REFUSED
    if isinstance(error, ConnectionResetError):  # a refusal has another number: it was accepted first
        return End.CUT
    return End.NO_ROUTE if error.errno in _NO_ROUTE else End.FAILED
