"""One timed request over a fresh connection, in phases, from one monotonic clock.

Rules
- resolve: the question to the nameserver to its answer. connect: the TCP handshake. first_byte: from the
  handshake to the first byte of the response, the sending of the request included. total: from the first
  question to the last byte of the body; for raw TCP, to the first byte.
- Fly Proxy accepts at once and holds the client while a Machine starts: the wake shows up in first_byte, and
  a wake that failed is an accepted connection that closes empty (FLY_FACTS §5).
- An IPv4-mapped address (the lab in loopback mode) is dialled through the same IPv6 socket.
"""

from __future__ import annotations

import errno
import socket
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from shell.answers import Answer, Outcome, RecordType
from shell.errors import NotWellError
from shell.http_reply import EmptyReplyError, Reply, ReplyError, read_reply

if TYPE_CHECKING:
    from collections.abc import Callable

_HTTP_PORT = 80
_NO_ROUTE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


class Protocols(StrEnum):
    """What is spoken on the port."""

    HTTP = "http"
    TCP = "tcp"


class Failure(StrEnum):
    """How a request failed, in words."""

    NO_ADDRESS = "no address"
    REFUSED = "connection refused: nothing listens on that port of the address"
    RESET = "connection reset by the other side"
    EMPTY = "empty reply: the connection was accepted, then closed with nothing sent"
    TIMEOUT = "no answer in time"
    NO_ROUTE = "no route to the address: is this machine on the private network?"
    GARBLED = "not an HTTP response"
    OTHER = "the connection failed"


class RequestError(NotWellError):
    """A request that failed: what happened, in which phase, after how long."""

    def __init__(self, failure: Failure, place: str, phase: str, elapsed_ms: float, detail: str = "") -> None:
        """Word the failure."""
        self.failure = failure
        more = f": {detail}" if detail else ""
        super().__init__(f"{place}: {failure}{more} (in phase {phase}, after {elapsed_ms:.0f} ms)")


class Opener(Protocol):
    """Connects to an address and port; raises `OSError`."""

    def __call__(self, address: str, port: int, timeout_seconds: float) -> socket.socket:
        """Return a connected socket."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is timed."""

    app_name: str
    protocol: Protocols = Protocols.HTTP
    port: int = _HTTP_PORT
    path: str = "/"
    timeout_seconds: float = 30.0

    @property
    def flycast_name(self) -> str:
        """Return the name through which Fly Proxy wakes the app."""
        return f"{self.app_name}.flycast"

    def __str__(self) -> str:
        """Write the target as a URL."""
        at_port = "" if self.protocol is Protocols.HTTP and self.port == _HTTP_PORT else f":{self.port}"
        path = self.path if self.protocol is Protocols.HTTP else ""
        return f"{self.protocol}://{self.flycast_name}{at_port}{path}"


@dataclass(frozen=True, slots=True)
class Edge:
    """Everything outside: the resolver, the socket opener, the clock (in seconds)."""

    ask: Callable[[str, RecordType], Answer]
    connect: Opener
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True)
class Timed:
    """A request that was answered; `reply` is None for raw TCP."""

    address: str
    resolve_ms: float
    connect_ms: float
    first_byte_ms: float
    total_ms: float
    reply: Reply | None = None

    @property
    def until_first_byte_ms(self) -> float:
        """Return the time from the start to the first byte."""
        return self.resolve_ms + self.connect_ms + self.first_byte_ms


def open_connection(address: str, port: int, timeout_seconds: float) -> socket.socket:
    """Connect over IPv6; raise `OSError`."""
    connection = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_seconds)
        connection.connect((address, port))
    except OSError:
        connection.close()
        raise
    return connection


def time_request(target: Target, edge: Edge) -> Timed:
    """Make one request and time it; raise `RequestError`."""
    return _Run(target, edge).go()


class _Run:
    """The moments of one request, as they come."""

    def __init__(self, target: Target, edge: Edge) -> None:
        self._target = target
        self._edge = edge
        self._phase = "resolve"
        self._place = str(target)
        self._first_byte_at: float | None = None
        self._began = edge.clock()
        self._deadline = self._began + target.timeout_seconds

    def go(self) -> Timed:
        try:
            return self._go()
        except EmptyReplyError as error:
            raise self._failed(Failure.EMPTY) from error
        except ReplyError as error:
            raise self._failed(Failure.GARBLED, str(error)) from error
        except OSError as error:
            raise self._failed(*_failure_of(error)) from error

    def _go(self) -> Timed:
        address = self._resolve()
        resolved_at = self._edge.clock()
        self._phase, self._place = "connect", f"{self._target} [{address}]"
        with self._edge.connect(address, self._target.port, self._left()) as connection:
            connected_at = self._edge.clock()
            self._phase = "first byte"
            reply = self._exchange(connection)
            ended_at = self._edge.clock()
        first_byte_at = self._first_byte_at or ended_at
        return Timed(
            address=address,
            resolve_ms=(resolved_at - self._began) * 1000,
            connect_ms=(connected_at - resolved_at) * 1000,
            first_byte_ms=(first_byte_at - connected_at) * 1000,
            total_ms=((ended_at if reply else first_byte_at) - self._began) * 1000,
            reply=reply,
        )

    def _resolve(self) -> str:
        answer = self._edge.ask(self._target.flycast_name, RecordType.AAAA)
        if answer.outcome is not Outcome.OK:
            detail = f"{answer.outcome}{_flycast_advice(answer.outcome, self._target.app_name)}"
            raise self._failed(Failure.NO_ADDRESS, detail)
        return answer.records[0]

    def _exchange(self, connection: socket.socket) -> Reply | None:
        def receive(size: int) -> bytes:
            connection.settimeout(self._left())
            piece = connection.recv(size)
            if piece and self._first_byte_at is None:
                self._first_byte_at = self._edge.clock()
                self._phase = "body"
            return piece

        if self._target.protocol is Protocols.HTTP:
            connection.settimeout(self._left())
            connection.sendall(request_bytes(self._target))
            return read_reply(receive)
        if not receive(1024):
            raise EmptyReplyError
        return None

    def _left(self) -> float:
        left = self._deadline - self._edge.clock()
        if left <= 0:
            raise TimeoutError
        return left

    def _failed(self, failure: Failure, detail: str = "") -> RequestError:
        elapsed_ms = (self._edge.clock() - self._began) * 1000
        return RequestError(failure, self._place, self._phase, elapsed_ms, detail)


def request_bytes(target: Target) -> bytes:
    """Return the request's bytes."""
    host = target.flycast_name if target.port == _HTTP_PORT else f"{target.flycast_name}:{target.port}"
    lines = (
        f"GET {target.path} HTTP/1.1",
        f"Host: {host}",
        "User-Agent: flycast-probe",
        "Accept: */*",
        "Connection: close",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii")


def _failure_of(error: OSError) -> tuple[Failure, str]:
    if isinstance(error, TimeoutError):
        return Failure.TIMEOUT, ""
    if isinstance(error, ConnectionRefusedError):
        return Failure.REFUSED, ""
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return Failure.RESET, ""
    if error.errno in _NO_ROUTE:
        return Failure.NO_ROUTE, error.strerror or ""
    return Failure.OTHER, error.strerror or str(error)


def _flycast_advice(outcome: Outcome, app_name: str) -> str:
    if not outcome.told:
        return ""
    return f"; does the app have a Flycast address? `fly ips allocate-v6 --private -a {app_name}` gives it one"
