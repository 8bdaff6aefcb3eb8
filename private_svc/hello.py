"""The raw TCP hello: send one line, and close so that no client ever sees a reset.

Closing a socket with unread bytes in it makes the kernel send RST, which can destroy the answer on its way (RFC 1122
section 4.2.2.13; RFC 2525 section 2.17). So: send, close our half, read and throw away until the client closes its
half or the time is up. Plain sockets in one epoll set instead of asyncio's streams: a hello is over before a stream is
set up. The listening socket is in that set, too: who comes and who leaves meanwhile is seen to in the same turn of the
loop.

With HELLO_PROXY_PROTOCOL=on, a caller from Fly's host side is greeted once its PROXY preface is complete; nobody else
sends one, nor is asked for one. A raw protocol has no word for "refused": who is, sees an empty close, and no reset.
"""

from __future__ import annotations

import asyncio
import select
import socket
from typing import TYPE_CHECKING

from private_svc.accept import Acceptor
from private_svc.activity import Greeted
from private_svc.ingress import Ingress

if TYPE_CHECKING:
    from collections.abc import Callable

    from private_svc.activity import Visit
    from private_svc.context import Context
    from private_svc.preface import Preface

GREETING = b"hello\n"
CLOSE_SECONDS = 2.0  # for a client that keeps its half open, or keeps talking, and for a preface to arrive
OPEN_AT_MOST = 1024
LOOKS_PER_WAKE_UP = 4  # each at no more than so many sockets; then others get their turn
SOCKETS_PER_LOOK = 64
AT_ONCE = socket.MSG_DONTWAIT  # as good as setblocking(False), without asking the kernel for it
WITH_MORE_TO_COME = getattr(socket, "MSG_MORE", 0)  # so that greeting and FIN leave in one packet


class Guest:
    """One open connection, until it ends."""

    __slots__ = ("connection", "ends", "leaves_at_s", "preface", "visit")

    def __init__(self, connection: socket.socket, ends: tuple[str, str], visit: Visit, leaves_at_s: float) -> None:
        self.connection = connection
        self.ends = ends  # the peer's address and ours
        self.visit = visit
        self.leaves_at_s = leaves_at_s  # at the latest
        self.preface: bytes | None = None  # what came of it so far; None when none is waited for


class Hello:
    """Greets whoever connects."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listening: socket.socket,
        context: Context,
        close_seconds: float = CLOSE_SECONDS,
        open_at_most: int = OPEN_AT_MOST,
    ) -> None:
        self._loop = loop
        self._context = context
        self._activity = context.activity
        self._close_seconds = close_seconds
        self._acceptor = Acceptor(loop, self, listening, self._take, self._make_room, limit=open_at_most)
        self._open: dict[int, Guest] = {}  # by file descriptor, the longest here first
        self._timer: asyncio.TimerHandle | None = None  # for who is here longest
        self._readable = select.epoll()
        self._accepting: dict[int, Callable[[], None]] = {}  # by file descriptor: the listening socket, or none
        self._thrown_away = bytearray(16 * 1024)
        self._nobody_left = asyncio.Event()
        if context.config.hello_proxy_protocol:
            from private_svc import preface  # noqa: PLC0415 - only who sets it pays for the import

            self._read_preface = preface.read

    def start(self) -> None:
        """Begin to greet."""
        self._loop.add_reader(self._readable, self._look)
        self._acceptor.start()

    def add_reader(self, listening: socket.socket, callback: Callable[[], None]) -> None:
        """Call back whenever somebody waits to be accepted."""
        fd = listening.fileno()
        if fd not in self._accepting:
            self._accepting[fd] = callback
            self._readable.register(fd, select.EPOLLIN)

    def remove_reader(self, listening: socket.socket) -> None:
        """Call back no more."""
        if self._accepting.pop(listening.fileno(), None) is not None:
            self._readable.unregister(listening)

    async def drain(self, seconds: float) -> int:
        """Greet who is queued, stop listening, wait for open connections; return how many were cut after `seconds`."""
        await self._acceptor.finish()
        if self._open:
            self._nobody_left.clear()
            await asyncio.wait([self._loop.create_task(self._nobody_left.wait())], timeout=seconds)
        cut = list(self._open)
        for fd in cut:
            self._close(fd)
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._readable)
        self._readable.close()
        return len(cut)

    def _take(self, connection: socket.socket, peer: str) -> None:
        self._context.boot.stamp("first_accept")
        try:
            local = connection.getsockname()[0]
        except OSError:  # it has gone again
            connection.close()
            self._acceptor.released()
            return
        caller = self._context.who(peer, local, ())
        fd = connection.fileno()
        visit = self._activity.arrive("hello", caller)
        guest = Guest(connection, (peer, local), visit, self._loop.time() + self._close_seconds)
        self._open[fd] = guest
        if self._timer is None:
            self._timer = self._loop.call_at(guest.leaves_at_s, self._time_is_up)
        if caller.ingress is Ingress.PLATFORM and self._context.config.hello_proxy_protocol:
            guest.preface = b""
        elif not self._greet(guest):
            self._close(fd)
            return
        self._readable.register(fd, select.EPOLLIN)

    def _greet(self, guest: Guest) -> bool:
        """Send the line and close our half; False when the client has gone."""
        ingress = guest.visit.caller.ingress
        try:
            guest.connection.send(GREETING, WITH_MORE_TO_COME | AT_ONCE)
            guest.connection.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        self._context.boot.stamp("first_response")
        self._count(guest, Greeted.GREETED)
        self._activity.begin(guest.visit, "hello", is_work=ingress is not Ingress.PLATFORM)
        return True

    def _look(self) -> None:
        for _ in range(LOOKS_PER_WAKE_UP):
            ready = self._readable.poll(0, SOCKETS_PER_LOOK)
            if not ready:
                return
            for fd, _ in ready:
                guest = self._open.get(fd)
                if guest is not None:
                    self._read_on(fd, guest)
                elif fd in self._accepting:  # or who has just made room for another
                    self._accepting[fd]()

    def _read_on(self, fd: int, guest: Guest) -> None:
        if self._has_ended(guest) if guest.preface is None else self._has_left(guest, guest.preface):
            self._close(fd)

    def _has_ended(self, guest: Guest) -> bool:
        try:
            return guest.connection.recv_into(self._thrown_away, 0, AT_ONCE) == 0
        except BlockingIOError:
            return False
        except OSError:  # a reset is an end, too
            return True

    def _has_left(self, guest: Guest, so_far: bytes) -> bool:
        """Read more of the preface and act on it once it is complete; True when that was the end of the connection."""
        try:
            received = guest.connection.recv(1024, AT_ONCE)
        except BlockingIOError:
            return False
        except OSError:
            received = b""
        if not received:  # a health check connects and goes; it sends no preface
            self._count(guest, Greeted.NO_PREFACE)
            return True
        guest.preface = so_far + received
        try:
            preface = self._read_preface(guest.preface)
        except ValueError:
            return not self._turn_away(guest, Greeted.BAD_PREFACE)
        return preface is not None and not self._welcome(guest, preface)

    def _welcome(self, guest: Guest, preface: Preface) -> bool:
        """Greet who is behind the proxy, unless that is the public; False when the client has gone."""
        caller = self._context.who(*guest.ends, (preface.source,) if preface.source else ())
        guest.visit.caller = caller
        if caller.ingress is Ingress.PUBLIC:
            self._context.exposure.through(preface.destination)
            if self._context.config.private_only:
                self._context.exposure.refuse(caller)
                return self._turn_away(guest, Greeted.REFUSED)
        guest.preface = None
        return self._greet(guest)

    def _turn_away(self, guest: Guest, outcome: Greeted) -> bool:
        """Close our half without a word, and the rest as after a greeting; False when the client has gone."""
        self._count(guest, outcome)
        guest.preface = None
        try:
            guest.connection.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        return True

    def _count(self, guest: Guest, outcome: Greeted) -> None:
        self._activity.hellos[guest.visit.caller.ingress, outcome] += 1

    def _time_is_up(self) -> None:
        """Close who has been here for too long; who came later has a later time."""
        self._timer = None
        now_s = self._loop.time()
        for fd, guest in list(self._open.items()):
            if guest.leaves_at_s > now_s:
                self._timer = self._loop.call_at(guest.leaves_at_s, self._time_is_up)
                return
            if guest.preface is not None:
                self._count(guest, Greeted.NO_PREFACE)
            self._close(fd)

    def _make_room(self) -> bool:
        """Close the connection that is here longest, once what it sent is read: it has its greeting."""
        longest = next((fd for fd, guest in self._open.items() if guest.preface is None), None)
        if longest is None:
            return False
        self._has_ended(self._open[longest])
        self._close(longest)
        return True

    def _close(self, fd: int) -> None:
        guest = self._open.pop(fd)
        guest.connection.close()  # takes it out of the epoll set
        self._activity.leave(guest.visit)
        self._acceptor.released()
        if not self._open:
            self._nobody_left.set()
