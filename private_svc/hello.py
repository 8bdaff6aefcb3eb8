"""The raw TCP hello: send one line, and close so that no client ever sees a reset.

Closing a socket with unread bytes in it makes the kernel send RST, which can destroy the answer on its way (RFC 1122
section 4.2.2.13; RFC 2525 section 2.17). So: send, close our half, read and throw away until the client closes its
half or the time is up. Raw sockets in one epoll set instead of asyncio's streams, because a hello is over before a
stream is set up.
"""

from __future__ import annotations

import asyncio
import select
import socket
from typing import TYPE_CHECKING

from private_svc.accept import Acceptor
from private_svc.deadlines import Deadlines

if TYPE_CHECKING:
    from private_svc.activity import Activity
    from private_svc.boot import Boot
    from private_svc.ingress import Classifier

GREETING = b"hello\n"
CLOSE_SECONDS = 2.0  # for a client that keeps its half open
READ_AT_MOST = 64 * 1024  # from a client that keeps talking
OPEN_AT_MOST = 512
WITH_MORE_TO_COME = getattr(socket, "MSG_MORE", 0)  # so that greeting and FIN leave in one packet
ENDS_PER_WAKE_UP = 256


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
        self._acceptor = Acceptor(loop, listening, self._greet, limit=open_at_most)
        self._left_to_read: dict[socket.socket, int] = {}
        self._deadlines: Deadlines[socket.socket] = Deadlines(loop, close_seconds, self._close)
        self._closing = select.epoll()
        self._by_fd: dict[int, socket.socket] = {}
        self._buffer = bytearray(16 * 1024)
        self._nobody_left: asyncio.Future[None] | None = None

    def start(self) -> None:
        """Begin to greet."""
        self._loop.add_reader(self._closing, self._read_ends)
        self._acceptor.start()

    async def drain(self, seconds: float) -> int:
        """Greet who is queued, stop listening, wait for open connections; return how many were cut after `seconds`."""
        self._acceptor.finish()
        if self._left_to_read:
            self._nobody_left = self._loop.create_future()
            await asyncio.wait([self._nobody_left], timeout=seconds)
        cut = list(self._left_to_read)
        for connection in cut:
            self._close(connection)
        self._loop.remove_reader(self._closing)
        self._closing.close()
        return len(cut)

    def _greet(self, connection: socket.socket, peer: str) -> None:
        self._boot.stamp("first_accept")
        self._activity.hello_connections += 1
        self._left_to_read[connection] = READ_AT_MOST
        try:
            connection.setblocking(False)
            local = connection.getsockname()[0]
            connection.send(GREETING, WITH_MORE_TO_COME)
            connection.shutdown(socket.SHUT_WR)
        except OSError:  # it has gone again
            self._forget(connection)
            return
        self._boot.stamp("first_response")
        self._activity.hellos[self._who(peer, local, ()).ingress] += 1
        fd = connection.fileno()
        self._by_fd[fd] = connection
        self._closing.register(fd, select.EPOLLIN)
        self._deadlines.start(connection)

    def _read_ends(self) -> None:
        for fd, _ in self._closing.poll(0, ENDS_PER_WAKE_UP):
            connection = self._by_fd[fd]
            if self._has_ended(connection):
                self._close(connection)

    def _has_ended(self, connection: socket.socket) -> bool:
        try:
            count = connection.recv_into(self._buffer)
        except BlockingIOError:
            return False
        except OSError:
            return True
        self._left_to_read[connection] -= count
        return count == 0 or self._left_to_read[connection] <= 0

    def _close(self, connection: socket.socket) -> None:
        self._deadlines.stop(connection)
        del self._by_fd[connection.fileno()]  # closing takes it out of the epoll set
        self._forget(connection)

    def _forget(self, connection: socket.socket) -> None:
        connection.close()
        del self._left_to_read[connection]
        self._activity.hello_connections -= 1
        self._acceptor.released()
        if self._nobody_left is not None and not self._left_to_read and not self._nobody_left.done():
            self._nobody_left.set_result(None)
