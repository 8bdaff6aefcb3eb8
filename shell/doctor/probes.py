"""Try an address: connect, GET or wait for a greeting; every failure is a value.

Rules
- One deadline bounds a whole try: the connect, and all that is sent and received after it.
- `shell.http_reply` reads the response within its bounds; of the body, at most 256 KiB are kept.
- IPv4 is dialled as an IPv4-mapped address, through the same IPv6 socket (RFC 4291 §2.5.5.2).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from shell.http_reply import ReplyError, read_reply

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from shell.phases import Edge

_KEPT_BYTES = 256 * 1024
_GREETING_BYTES = 64
_MAX_SHOWN = 200  # characters of a header in a message


class Reached(StrEnum):
    """How far a try came."""

    ACCEPTED = "connection accepted"
    ANSWERED = "answered"
    EMPTY = "accepted, then closed with nothing sent"
    RESET = "accepted, then reset"
    STALLED = "accepted, then no answer in time"
    GARBLED = "answered, but not in HTTP"
    REFUSED = "connection refused"
    SILENT = "no answer in time"
    NO_ROUTE = "no route to the address"

    @property
    def was_accepted(self) -> bool:
        """Tell whether something listens there."""
        return self not in {Reached.REFUSED, Reached.SILENT, Reached.NO_ROUTE}


@dataclass(frozen=True, slots=True)
class Place:
    """Where to try: an address and port, and the deadline of the whole try."""

    address: str
    port: int
    timeout_seconds: float

    def __str__(self) -> str:
        """Write it as in a URL."""
        return f"[{self.address}]:{self.port}"


@dataclass(frozen=True, slots=True)
class Tried:
    """A try: what was done, how far it came; the answer's status, Location and body, or the greeting."""

    did: str
    reached: Reached
    elapsed_ms: float = 0.0
    status: int = 0
    location: str = ""
    said: bytes = b""

    def __str__(self) -> str:
        """Say what came back, and after how long."""
        target = f" to {self.location}" if self.location else ""
        outcome = f"{self.status}{target}" if self.status else str(self.reached)
        return f"{outcome} after {self.elapsed_ms:.0f} ms"


def knock(place: Place, edge: Edge) -> Tried:
    """Connect, and no more."""
    return _try(Tried(f"connect to {place}", Reached.ACCEPTED), place, edge, lambda _, tried: tried)


def greet(place: Place, edge: Edge) -> Tried:
    """Connect and wait for the first line."""

    def talk(line: _Line, tried: Tried) -> Tried:
        said = b""
        while b"\n" not in said and len(said) < _GREETING_BYTES and (piece := line.receive(_GREETING_BYTES)):
            said += piece
        return replace(tried, reached=Reached.ANSWERED if said else Reached.EMPTY, said=said)

    return _try(Tried(f"connect to {place}, wait for hello", Reached.ACCEPTED), place, edge, talk)


def fetch(place: Place, host: str, path: str, edge: Edge) -> Tried:
    """GET a path; redirects are not followed."""

    def talk(line: _Line, tried: Tried) -> Tried:
        line.send(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: flycast-probe\r\n"
            "Accept: */*\r\nConnection: close\r\n\r\n".encode("ascii")
        )
        reply = read_reply(line.receive, _KEPT_BYTES)
        location = reply.header("location")[:_MAX_SHOWN]
        return replace(tried, reached=Reached.ANSWERED, status=reply.status, location=location, said=reply.body)

    return _try(Tried(f"GET http://{host}{path} at {place}", Reached.ACCEPTED), place, edge, talk)


class _Line:
    """A connection with a deadline."""

    def __init__(self, connection: socket.socket, clock: Callable[[], float], deadline: float) -> None:
        self._connection = connection
        self._clock = clock
        self._deadline = deadline
        self.heard = False

    def send(self, request: bytes) -> None:
        self._connection.settimeout(self._seconds_left())
        self._connection.sendall(request)

    def receive(self, size: int) -> bytes:
        self._connection.settimeout(self._seconds_left())
        piece = self._connection.recv(size)
        self.heard = self.heard or bool(piece)
        return piece

    def _seconds_left(self) -> float:
        left = self._deadline - self._clock()
        if left <= 0:
            raise TimeoutError
        return left


def _try(tried: Tried, place: Place, edge: Edge, talk: Callable[[_Line, Tried], Tried]) -> Tried:
    """Carry out a try; its failures become `Reached`."""
    began = edge.clock()
    line: _Line | None = None
    try:
        with edge.connect(place.address, place.port, place.timeout_seconds) as connection:
            line = _Line(connection, edge.clock, began + place.timeout_seconds)
            tried = talk(line, tried)
    except ReplyError:
        tried = replace(tried, reached=Reached.GARBLED if line and line.heard else Reached.EMPTY)
    except OSError as error:
        tried = replace(tried, reached=_before(error) if line is None else _after(error))
    return replace(tried, elapsed_ms=(edge.clock() - began) * 1000)


def _before(error: OSError) -> Reached:
    """Return why no connection came about."""
    if isinstance(error, TimeoutError | BlockingIOError):  # the latter for a timeout of 0 s
        return Reached.SILENT
    return Reached.REFUSED if isinstance(error, ConnectionError) else Reached.NO_ROUTE


def _after(error: OSError) -> Reached:
    """Return why a connection came to nothing."""
    return Reached.STALLED if isinstance(error, TimeoutError | BlockingIOError) else Reached.RESET
