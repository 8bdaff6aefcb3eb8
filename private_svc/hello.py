"""The raw TCP hello: send one line, and close so that no client ever sees a reset.

Closing a socket with unread bytes in it makes the kernel send RST, which can destroy the answer on its way (RFC 1122
section 4.2.2.13; RFC 2525 section 2.17). So: send, close our half, read and throw away until the client closes its
half or the time is up. Plain sockets in one epoll set instead of asyncio's streams: a hello is over before a stream is
set up.
"""

from __future__ import annotations

import asyncio
import select
import socket
from typing import TYPE_CHECKING

from private_svc.accept import Acceptor

if TYPE_CHECKING:
    from private_svc.activity import Activity
    from private_svc.boot import Boot
    from private_svc.ingress import Classifier

GREETING = b"hello\n"
CLOSE_SECONDS = 2.0  # for a client that keeps its half open, or keeps talking
OPEN_AT_MOST = 512
READS_PER_WAKE_UP = 256  # then others get their turn
WITH_MORE_TO_COME = getattr(socket, "MSG_MORE", 0)  # so that greeting and FIN leave in one packet


class Hello:
    """Greets whoever connects."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listening: socket.socket,
        who: Classifier,
        activity: Activity,
        boot: Boot,
        close_seconds: float = CLOSE_SECONDS,
        open_at_most: int = OPEN_AT_MOST,
    ) -> None:
        self._loop = loop
        self._who = who
        self._activity = activity
        self._boot = boot
        self._close_seconds = close_seconds
        self._acceptor = Acceptor(loop, listening, self._greet, limit=open_at_most)
        self._open: dict[int, tuple[socket.socket, asyncio.TimerHandle]] = {}  # by file descriptor
        self._readable = select.epoll()
        self._thrown_away = bytearray(16 * 1024)
        self._nobody_left = asyncio.Event()

    def start(self) -> None:
        """Begin to greet."""
        self._loop.add_reader(self._readable, self._read_on)
        self._acceptor.start()

    async def drain(self, seconds: float) -> int:
        """Greet who is queued, stop listening, wait for open connections; return how many were cut after `seconds`."""
        self._acceptor.finish()
        if self._open:
            self._nobody_left.clear()
            await asyncio.wait([self._loop.create_task(self._nobody_left.wait())], timeout=seconds)
        cut = list(self._open)
        for fd in cut:
            self._close(fd)
        self._loop.remove_reader(self._readable)
        self._readable.close()
        return len(cut)

    def _greet(self, connection: socket.socket, peer: str) -> None:
        self._boot.stamp("first_accept")
        try:
            connection.setblocking(False)
            local = connection.getsockname()[0]
            connection.send(GREETING, WITH_MORE_TO_COME)
            connection.shutdown(socket.SHUT_WR)
        except OSError:  # it has gone again
            connection.close()
            self._acceptor.released()
            return
        self._boot.stamp("first_response")
        self._activity.hellos[self._who(peer, local, ()).ingress] += 1
        self._activity.hello_connections += 1
        fd = connection.fileno()
        self._open[fd] = connection, self._loop.call_later(self._close_seconds, self._close, fd)
        self._readable.register(fd, select.EPOLLIN)

    def _read_on(self) -> None:
        for fd, _ in self._readable.poll(0, READS_PER_WAKE_UP):
            if self._has_ended(self._open[fd][0]):
                self._close(fd)

    def _has_ended(self, connection: socket.socket) -> bool:
        try:
            return connection.recv_into(self._thrown_away) == 0
        except BlockingIOError:
            return False
        except OSError:  # a reset is an end, too
            return True

    def _close(self, fd: int) -> None:
        connection, deadline = self._open.pop(fd)
        deadline.cancel()
        connection.close()  # takes it out of the epoll set
        self._activity.hello_connections -= 1
        self._acceptor.released()
        if not self._open:
            self._nobody_left.set()
