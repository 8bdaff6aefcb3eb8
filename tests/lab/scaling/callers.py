"""So many callers at once, each on a connection of its own, and again as soon as it has its answer.

One epoll loop and no asyncio, so that the client costs less than what it measures.  A caller reads to the end of the
connection: what counts is the whole answer and a clean close.  Each comes from one of many loopback addresses, because
one address has some 28,000 ports, and a port just used rests for a second.
"""

from __future__ import annotations

import errno
import gc
import itertools
import select
import socket
import time
from collections import Counter
from dataclasses import dataclass, field

CALL_SECONDS = 30.0
SOURCES = [f"127.0.{net}.{host}" for net in range(1, 9) for host in range(1, 9)]
_BIND_ADDRESS_NO_PORT = 24  # ip(7): the port is chosen at connect
_EVENTS_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Errand:
    """What a caller says, and how the right answer begins."""

    says: bytes
    hears: bytes


@dataclass(slots=True)
class _Caller:
    connection: socket.socket
    began_s: float
    heard: bytes = b""


@dataclass(slots=True)
class Tally:
    """How the calls went: the times of those that were answered, and what became of the others."""

    times_ms: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def percentile(self, percent: float) -> float:
        """Return the time in ms that `percent` of the answered calls did not exceed; 0 when none was answered."""
        ordered = sorted(self.times_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0


class Crowd:
    """Keeps `in_flight` calls under way until `calls` were made."""

    def __init__(
        self, port: int, errand: Errand, in_flight: int, calls: int, call_seconds: float = CALL_SECONDS
    ) -> None:
        self._port = port
        self._errand = errand
        self._in_flight = in_flight
        self._left = calls
        self._call_seconds = call_seconds
        self._sources = itertools.cycle(SOURCES)
        self._waiting = select.epoll()
        self._callers: dict[int, _Caller] = {}  # by file descriptor, the longest under way first
        self.tally = Tally()

    def run(self) -> Tally:
        """Make the calls."""
        gc.collect()
        gc.disable()  # a pause of the client is not the service's
        began_s = time.perf_counter()
        try:
            while self._left or self._callers:
                while self._left and len(self._callers) < self._in_flight:
                    self._call()
                for fd, event in self._waiting.poll(1.0, _EVENTS_AT_ONCE):
                    self._go_on(fd, event)
                self._give_up_on_late()
        finally:
            gc.enable()
            self._waiting.close()
            for caller in self._callers.values():
                caller.connection.close()
        self.tally.seconds = time.perf_counter() - began_s
        return self.tally

    def _call(self) -> None:
        self._left -= 1
        connection = socket.socket()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
        caller = _Caller(connection, time.perf_counter())
        connection.bind((next(self._sources), 0))
        failed = connection.connect_ex(("127.0.0.1", self._port))
        if failed not in (0, errno.EINPROGRESS):
            self._failed(caller, errno.errorcode[failed])
            return
        self._callers[connection.fileno()] = caller
        self._waiting.register(connection, select.EPOLLOUT if self._errand.says else select.EPOLLIN)

    def _go_on(self, fd: int, event: int) -> None:
        caller = self._callers[fd]
        try:
            if event & select.EPOLLOUT and not event & select.EPOLLERR:
                caller.connection.send(self._errand.says)
                self._waiting.modify(fd, select.EPOLLIN)
                return
            heard = caller.connection.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(fd, errno.errorcode.get(error.errno or 0, "?"))
            return
        caller.heard += heard
        if not heard:
            right = caller.heard.startswith(self._errand.hears)
            self._end(fd, "" if right else f"answer of {len(caller.heard)} bytes: {caller.heard[:30]!r}")

    def _end(self, fd: int, error: str) -> None:
        caller = self._callers.pop(fd)
        if error:
            self._failed(caller, error)
            return
        self.tally.times_ms.append((time.perf_counter() - caller.began_s) * 1000)
        caller.connection.close()

    def _failed(self, caller: _Caller, error: str) -> None:
        self.tally.errors[error] += 1
        caller.connection.close()

    def _give_up_on_late(self) -> None:
        while self._callers:
            fd, caller = next(iter(self._callers.items()))
            if time.perf_counter() - caller.began_s < self._call_seconds:
                return
            self._end(fd, f"no answer within {self._call_seconds:g} s")
