"""The accept loop of both listeners: it never drops a caller whom the kernel has already greeted."""

from __future__ import annotations

import asyncio
import errno
import logging
from typing import TYPE_CHECKING

from private_svc import logs
from private_svc.newcomers import greet_nobody_new

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Protocol

    class Readers(Protocol):
        """Calls back while a socket has something to read, as an event loop does."""

        def add_reader(self, fd: socket.socket, callback: Callable[[], None], /) -> None:
            """Begin."""

        def remove_reader(self, fd: socket.socket, /) -> object:
            """Stop, if it was begun."""


HANDSHAKE_SECONDS = 0.005  # for those that were under way when the end began
PER_WAKE_UP = 64  # then others get their turn
MORE_THAN_QUEUED = 65536
NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
NO_ROOM_PAUSE_SECONDS = 0.1
NO_ROOM_SAID_SECONDS = 60.0
GONE_AGAIN = (  # accept(2): errors of the new connection, not of the listening socket
    errno.ECONNABORTED,
    errno.EPROTO,
    errno.EPERM,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENOPROTOOPT,
    errno.EOPNOTSUPP,
    errno.ETIMEDOUT,
)


class Acceptor:
    """Hand every connection of one listening socket to `take`, at most `limit` open at a time.

    Who takes a connection says `released()` once it is closed. At the limit, `make_room` has one closed that nobody
    needs, perhaps only in a moment, or returns False. Then, or out of file descriptors, callers wait in the kernel's
    queue, none is turned away, and soon we look again.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        readers: Readers,
        listening: socket.socket,
        take: Callable[[socket.socket, str], None],
        make_room: Callable[[], bool],
        *,
        limit: int,
    ) -> None:
        self._loop = loop
        self._readers = readers
        self._listening = listening
        self._take = take
        self._make_room = make_room
        self._limit = limit
        self._open = 0
        self._no_room_said_s = float("-inf")
        self._retry: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to accept, or go on after a pause."""
        if self._listening.fileno() >= 0:
            self._readers.add_reader(self._listening, self._ready)

    def released(self) -> None:
        """Note that a taken connection is closed."""
        self._open -= 1
        if self._open == self._limit - 1:
            self.start()

    async def finish(self) -> None:
        """Take everybody still in the kernel's queue or about to be, whatever the limit; close the listening socket."""
        if self._listening.fileno() < 0:
            return
        self._readers.remove_reader(self._listening)
        self._limit = 0  # nobody starts it again
        if self._retry is not None:
            self._retry.cancel()
        greet_nobody_new(self._listening)
        self._take_all()
        await asyncio.sleep(HANDSHAKE_SECONDS)
        self._take_all()
        self._listening.close()

    def _take_all(self) -> None:
        for _ in range(MORE_THAN_QUEUED):
            if not self._accept_one():
                break

    def _ready(self) -> None:
        for _ in range(PER_WAKE_UP):
            if self._open >= self._limit and not self._make_room():
                self._pause()
                return
            if not self._accept_one():
                return

    def _accept_one(self) -> bool:
        """Take the next caller; False when there is none, or no room for one."""
        try:
            connection, address = self._listening.accept()
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in NO_ROOM:
                self._wait_for_room(error)
                return False
            if error.errno in GONE_AGAIN:
                return True
            raise
        self._open += 1
        self._take(connection, address[0])
        return True

    def _wait_for_room(self, error: OSError) -> None:
        now_s = self._loop.time()
        if now_s - self._no_room_said_s >= NO_ROOM_SAID_SECONDS:
            self._no_room_said_s = now_s
            logs.event("cannot accept", level=logging.WARNING, reason=error.strerror, retry="callers wait meanwhile")
        self._pause()

    def _pause(self) -> None:
        self._readers.remove_reader(self._listening)
        if self._retry is not None:
            self._retry.cancel()
        self._retry = self._loop.call_later(NO_ROOM_PAUSE_SECONDS, self.start)
