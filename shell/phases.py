"""Timed requests, on a fresh connection or a kept one, in phases, from one monotonic clock.

Rules
- resolve: the question to the nameserver to its answer. connect: the TCP handshake. first_byte: from the
  handshake to the first byte of the response, the sending of the request included. total: from the first
  question to the last byte of the body; for raw TCP, to the first byte.
- Fly Proxy accepts at once and holds the client while a Machine starts: the wake shows up in first_byte, and
  a wake that failed is an accepted connection that closes empty (docs/fly.md, "Sleep and wake").
- An IPv4-mapped address (the lab in loopback mode) is dialled through the same IPv6 socket.
"""

from __future__ import annotations

import errno
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from shell.answers import Answer, Outcome, RecordType
from shell.errors import NotWellError
from shell.http_reply import Reply, ReplyError, read_reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_HTTP_PORT = 80
_PHASES = ("resolve", "connect", "first byte", "body")
_NO_ROUTE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


class Protocols(StrEnum):
    """What is spoken on the port."""

    HTTP = "http"
    TCP = "tcp"


class RequestError(NotWellError):
    """A request that failed: what happened, in which phase, after how long."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is timed."""

    app_name: str
    protocol: Protocols = Protocols.HTTP
    port: int = _HTTP_PORT
    path: str = "/"
    timeout_seconds: float = 30.0

    @property
    def host(self) -> str:
        """Return the name through which Fly Proxy wakes the app, and the port where it must be said."""
        usual = self.protocol is Protocols.HTTP and self.port == _HTTP_PORT
        return f"{self.app_name}.flycast" if usual else f"{self.app_name}.flycast:{self.port}"

    def __str__(self) -> str:
        """Write the target as a URL."""
        return f"{self.protocol}://{self.host}{self.path if self.protocol is Protocols.HTTP else ''}"


@dataclass(frozen=True, slots=True)
class Edge:
    """Everything outside: the resolver, the socket opener, the clock (in seconds)."""

    ask: Callable[[str, RecordType], Answer]
    connect: Callable[[str, int, float], socket.socket]
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
    def since_connecting_ms(self) -> float:
        """Return the time from the first packet to the app's address to the first byte: what can wake a Machine."""
        return self.connect_ms + self.first_byte_ms

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


def time_request(target: Target, edge: Edge, message: bytes = b"", keep_bytes: int = 0) -> Timed:
    """Make one request, a GET when no other `message` is given, and time it; raise `RequestError`."""
    watch = _Stopwatch(edge.clock, target.timeout_seconds)
    with _failures_in_words(target, watch):
        with _connected(target, edge, watch) as connection:
            reply = _exchange(target, connection, watch, message or _get(target, "close"), keep_bytes)
            watch.end("body")
        return watch.timed(reply)


def time_kept(target: Target, edge: Edge, count: int) -> Iterator[Timed]:
    """Yield `count` timed GETs on one connection that has carried one before, fewer when the server closes it.

    Nothing is resolved and nothing connected: those phases are 0, and each request has `timeout_seconds` of its own.
    Raise `RequestError`.
    """
    message = _get(target, "keep-alive")
    watch = _Stopwatch(edge.clock, target.timeout_seconds)
    with _failures_in_words(target, watch):
        connection = _connected(target, edge, watch)
    with connection:
        with _failures_in_words(target, watch):
            reply = _exchange(target, connection, watch, message, 0)
        for _ in range(count):
            if reply is None or reply.closes:
                return
            watch = watch.again()
            with _failures_in_words(target, watch):
                reply = _exchange(target, connection, watch, message, 0)
                watch.end("body")
            yield watch.timed(reply)


class _Stopwatch:
    """The moments at which phases end, and the deadline of them all."""

    def __init__(self, clock: Callable[[], float], timeout_seconds: float, address: str = "") -> None:
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self.address = address
        self.began = clock()
        self._deadline = self.began + timeout_seconds
        self._ends = {"": self.began}

    def again(self) -> _Stopwatch:
        """Return a new one, for a request on the connection there is."""
        watch = _Stopwatch(self._clock, self._timeout_seconds, self.address)
        watch._ends.update({"resolve": watch.began, "connect": watch.began})
        return watch

    def end(self, phase: str) -> None:
        self._ends.setdefault(phase, self._clock())

    @property
    def phase(self) -> str:
        return next((phase for phase in _PHASES if phase not in self._ends), _PHASES[-1])

    def ms(self, start: str, end: str) -> float:
        return (self._ends[end] - self._ends[start]) * 1000

    def ms_since(self) -> float:
        return (self._clock() - self.began) * 1000

    def seconds_left(self) -> float:
        left = self._deadline - self._clock()
        if left <= 0:
            raise TimeoutError
        return left

    def timed(self, reply: Reply | None) -> Timed:
        return Timed(
            self.address,
            resolve_ms=self.ms("", "resolve"),
            connect_ms=self.ms("resolve", "connect"),
            first_byte_ms=self.ms("connect", "first byte"),
            total_ms=self.ms("", "body" if reply else "first byte"),
            reply=reply,
        )


@contextmanager
def _failures_in_words(target: Target, watch: _Stopwatch) -> Iterator[None]:
    """Raise `RequestError` in place of what may go wrong: what happened, in which phase, after how long."""
    try:
        yield
    except (ReplyError, OSError) as error:
        words = _words_of(error) if isinstance(error, OSError) else str(error)
        place = f"{target} [{watch.address}]" if watch.address else str(target)
        raise RequestError(f"{place}: {words} (in phase {watch.phase}, after {watch.ms_since():.0f} ms)") from error


def _connected(target: Target, edge: Edge, watch: _Stopwatch) -> socket.socket:
    watch.address = _address_of(target, edge.ask)
    watch.end("resolve")
    connection = edge.connect(watch.address, target.port, watch.seconds_left())
    watch.end("connect")
    return connection


def _address_of(target: Target, ask: Callable[[str, RecordType], Answer]) -> str:
    answer = ask(f"{target.app_name}.flycast", RecordType.AAAA)
    if answer.outcome is Outcome.OK:
        return answer.records[0]
    allocate = f"fly ips allocate-v6 --private -a {target.app_name}"
    advice = f"; does the app have a Flycast address? `{allocate}` gives it one" if answer.outcome.told else ""
    raise ReplyError(f"no address: {answer.ending}{advice}")


def _get(target: Target, connection: str) -> bytes:
    return (
        f"GET {target.path} HTTP/1.1\r\nHost: {target.host}\r\nUser-Agent: flycast-probe\r\n"
        f"Accept: */*\r\nConnection: {connection}\r\n\r\n"
    ).encode("ascii")


def _exchange(
    target: Target, connection: socket.socket, watch: _Stopwatch, message: bytes, keep_bytes: int
) -> Reply | None:
    def receive(size: int) -> bytes:
        connection.settimeout(watch.seconds_left())
        piece = connection.recv(size)
        if piece:
            watch.end("first byte")
        return piece

    if target.protocol is Protocols.HTTP:
        connection.settimeout(watch.seconds_left())
        connection.sendall(message)
        return read_reply(receive, keep_bytes)
    if not receive(1024):
        raise ReplyError("empty reply: the connection was accepted, then closed with nothing sent")
    return None


def _words_of(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: nothing listens on that port of the address"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "connection reset by the other side"
    if error.errno in _NO_ROUTE:
        return f"no route to the address: is this machine on the private network? ({error.strerror})"
    return f"the connection failed: {error.strerror or error}"
