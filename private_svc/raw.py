"""The raw port: who may come in, and which conversation a caller gets.

- With HELLO_PROXY_PROTOCOL=on, a caller from Fly's host side sends a PROXY preface, which says who is behind it. Nobody
  else sends one, nor is asked for one.
- A raw protocol has no word for "refused": a refused caller sees an empty close, and no reset.
- A conversation is either `Words` (words.py), said by this module, or a session of your own handler (sessions.py).

Closing a socket with unread bytes in it makes the kernel send RST, which can destroy the answer on its way (RFC 1122
section 4.2.2.13; RFC 2525 section 2.17). So: send, close our half, read and throw away until the client closes its
half or the time is up. `Words` are sent on plain sockets in one epoll set, in
which the listening socket is, too: they are over before a stream would be set up.
"""

from __future__ import annotations

import _socket  # what `socket` is made of, without its enums, which cost time in each hello
import asyncio
import logging
import select
from typing import TYPE_CHECKING

from private_svc import logs
from private_svc.accept import Acceptor
from private_svc.activity import Greeted
from private_svc.ingress import Ingress, refused
from private_svc.words import Words

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from private_svc.accept import Address
    from private_svc.activity import Visit
    from private_svc.context import Context
    from private_svc.ingress import Caller
    from private_svc.sessions import Handler, Sessions

CLOSE_SECONDS = 2.0  # for a client that keeps its half open, or keeps talking, and for a preface to arrive
GRACE_SECONDS = 0.25  # the same while leaving, and for what a session's caller has just sent
OPEN_AT_MOST = 1024
POLLS_PER_WAKE_UP = 4  # each for at most SOCKETS_PER_POLL sockets; then other work of the event loop gets its turn
SOCKETS_PER_POLL = 64
LOG_SECONDS = 60.0
SEND_PREFACES = 'handlers = ["proxy_proto"] for this port in fly.toml, or HELLO_PROXY_PROTOCOL=off'
NO_WAITING = _socket.MSG_DONTWAIT  # as good as setblocking(False), without asking the kernel for it
WITH_MORE_TO_COME = _socket.MSG_MORE | _socket.MSG_DONTWAIT  # so that the words and FIN leave in one packet


class Guest:
    """One open connection that this module looks after, until it ends or becomes a session."""

    __slots__ = ("closes_at_s", "connection", "preface", "visit")

    def __init__(self, connection: _socket.socket, visit: Visit, closes_at_s: float) -> None:
        self.connection = connection
        self.visit = visit
        self.closes_at_s = closes_at_s  # at the latest
        self.preface: bytes | None = None  # what has arrived of it; None when none is waited for


class RawPort:
    """Has the conversation of `handler` with every caller who may come in."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listening: socket.socket,
        context: Context,
        handler: Words | Handler,
        close_seconds: float = CLOSE_SECONDS,
        open_at_most: int = OPEN_AT_MOST,
    ) -> None:
        self._loop = loop
        self._context = context
        self._activity = context.activity
        self._close_seconds = close_seconds
        self._acceptor = Acceptor(
            loop, self, listening, self._take, self._make_room, limit=open_at_most, socket_type=_socket.socket
        )
        self._guests: dict[int, Guest] = {}  # by file descriptor, the oldest first
        self._timer: asyncio.TimerHandle | None = None  # for the guest who is here longest
        self._readable = select.epoll()
        self._accepting: dict[int, Callable[[], None]] = {}  # by file descriptor: the listening socket, or none
        self._thrown_away = bytearray(16 * 1024)
        self._all_gone: asyncio.Future[None] | None = None  # while leaving
        self._refused = refused(private_only=context.config.private_only, on_fly=context.machine.app_name is not None)
        self._expects_prefaces = context.config.hello_proxy_protocol
        self._log_limit = logs.RateLimit(LOG_SECONDS)
        self._words = handler.content if isinstance(handler, Words) else b""
        self._sessions: Sessions | None = None
        if not isinstance(handler, Words):
            from private_svc.sessions import Sessions  # noqa: PLC0415 - needed where RAW names a handler

            self._sessions = Sessions(loop, handler, self._gone)
        if self._expects_prefaces:
            from private_svc import preface  # noqa: PLC0415 - needed where prefaces are expected

            self._preface = preface

    def start(self) -> None:
        """Begin to accept."""
        self._loop.add_reader(self._readable, self._poll)
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
        """Take everybody who is queued, stop listening, let every conversation end within `seconds`.

        Return how many were cut: callers whose preface had not arrived, and sessions that had not ended.
        """
        await self._acceptor.finish()
        grace_seconds = min(GRACE_SECONDS, seconds)
        if self._guests or self._sessions:
            self._all_gone = self._loop.create_future()
            await asyncio.wait([self._all_gone], timeout=grace_seconds)
        cut = 0
        for fd, guest in list(self._guests.items()):
            cut += guest.preface is not None
            self._close_read(fd, guest)
        if self._sessions:
            cut += await self._sessions.drain(seconds - grace_seconds, GRACE_SECONDS)
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._readable)
        self._readable.close()
        return cut

    def _take(self, connection: _socket.socket, address: Address) -> None:
        self._context.boot.stamp("first_accept")
        caller = self._context.who.of_peer(address[0], connection.getsockname)
        if caller.ingress is Ingress.PLATFORM and self._expects_prefaces:
            self._keep(connection, self._activity.arrive("hello", caller), b"")
        elif self._sessions is not None and caller.ingress not in self._refused:
            self._begin_session(self._sessions, connection, self._activity.arrive("hello", caller))
        elif self._answer(connection, caller):  # before the accounts are kept: the caller reads it meanwhile
            self._keep(connection, self._answered(self._activity.arrive("hello", caller)), None)
        else:
            connection.close()
            self._acceptor.released()

    def _keep(self, connection: _socket.socket, visit: Visit, preface: bytes | None) -> None:
        """Look after a connection until it ends or its time is up."""
        guest = Guest(connection, visit, self._loop.time() + self._close_seconds)
        guest.preface = preface
        fd = connection.fileno()
        self._guests[fd] = guest
        if self._timer is None:
            self._timer = self._loop.call_at(guest.closes_at_s, self._close_overdue)
        self._readable.register(fd, select.EPOLLIN)

    def _answer(self, connection: _socket.socket, caller: Caller) -> bool:
        """Send the words, unless the caller is refused, and close our half; return False when the caller has gone."""
        if caller.ingress in self._refused:
            self._context.exposure.refuse(caller)
            return self._say(connection, caller, Greeted.REFUSED)
        return self._say(connection, caller, Greeted.GREETED, self._words)

    def _say(self, connection: _socket.socket, caller: Caller, outcome: Greeted, words: bytes = b"") -> bool:
        try:
            if words:
                connection.send(words, WITH_MORE_TO_COME)
            connection.shutdown(_socket.SHUT_WR)
        except OSError:
            return False
        self._context.boot.stamp("first_response")
        self._activity.hellos[caller.ingress, outcome] += 1
        return True

    def _answered(self, visit: Visit) -> Visit:
        """Note that a caller has its words, unless it was refused."""
        ingress = visit.caller.ingress
        if ingress not in self._refused:
            self._activity.begin(visit, "hello", is_work=ingress is not Ingress.PLATFORM)
        return visit

    def _begin_session(self, sessions: Sessions, connection: _socket.socket, visit: Visit) -> None:
        self._activity.hellos[visit.caller.ingress, Greeted.GREETED] += 1
        self._activity.begin(visit, "session", is_work=True)
        sessions.begin(connection, visit)
        self._context.boot.stamp("first_response")

    def _poll(self) -> None:
        for _ in range(POLLS_PER_WAKE_UP):
            ready = self._readable.poll(0, SOCKETS_PER_POLL)
            if not ready:
                return
            for fd, _ in ready:
                guest = self._guests.get(fd)
                if guest is None:
                    if fd in self._accepting:  # not a guest that has just made room for another
                        self._accepting[fd]()
                elif guest.preface is not None:
                    self._read_on(fd, guest, guest.preface)
                elif self._has_ended(guest):
                    self._close(fd)

    def _has_ended(self, guest: Guest) -> bool:
        """Throw away what the client sent; return whether it has closed its half."""
        try:
            return guest.connection.recv_into(self._thrown_away, 0, NO_WAITING) == 0
        except BlockingIOError:
            return False
        except OSError:  # a reset is an end, too
            return True

    def _read_on(self, fd: int, guest: Guest, so_far: bytes) -> None:
        """Read more of the preface, and not a byte of what follows it; act on it once it is complete."""
        try:
            arrived = guest.connection.recv(self._preface.AT_MOST, _socket.MSG_PEEK | NO_WAITING)
        except BlockingIOError:
            return
        except OSError:
            arrived = b""
        if not arrived:  # a health check connects and goes; it sends no preface
            self._activity.hellos[guest.visit.caller.ingress, Greeted.NO_PREFACE] += 1
            self._close(fd)
            return
        try:
            found = self._preface.read(so_far + arrived)
        except ValueError as error:
            if self._log_limit.allows():
                logs.event("bad PROXY preface", level=logging.WARNING, reason=str(error), fix=SEND_PREFACES)
            guest.preface = None
            if not self._say(guest.connection, guest.visit.caller, Greeted.BAD_PREFACE):
                self._close(fd)
            return
        if found is None:
            guest.connection.recv(len(arrived), NO_WAITING)
            guest.preface = so_far + arrived
            return
        preface, size = found
        guest.connection.recv(size - len(so_far), NO_WAITING)
        caller = self._context.who.behind(guest.visit.caller, (preface.source,) if preface.source else ())
        if caller.ingress is Ingress.PUBLIC:
            self._context.exposure.through(preface.destination)
        self._welcome(fd, guest, caller)

    def _welcome(self, fd: int, guest: Guest, caller: Caller) -> None:
        """Begin the conversation with the caller behind the proxy."""
        guest.visit.caller = caller
        if self._sessions is not None and caller.ingress not in self._refused:
            self._readable.unregister(fd)  # the event loop reads what follows
            del self._guests[fd]
            self._begin_session(self._sessions, guest.connection, guest.visit)
        elif self._answer(guest.connection, caller):
            guest.preface = None
            self._answered(guest.visit)
        else:
            self._close(fd)

    def _close_overdue(self) -> None:
        """Close the guests whose time is up; a guest that came later has a later time."""
        self._timer = None
        now_s = self._loop.time()
        for fd, guest in list(self._guests.items()):
            if guest.closes_at_s > now_s:
                self._timer = self._loop.call_at(guest.closes_at_s, self._close_overdue)
                return
            if guest.preface is not None:
                self._activity.hellos[guest.visit.caller.ingress, Greeted.NO_PREFACE] += 1
            self._close(fd)

    def _make_room(self) -> bool:
        """Close the connection that has had its words for longest."""
        longest = next(((fd, guest) for fd, guest in self._guests.items() if guest.preface is None), None)
        if longest is None:
            return False
        self._close_read(*longest)
        return True

    def _close_read(self, fd: int, guest: Guest) -> None:
        """Close a connection once what it sent is read, so that the kernel sends no reset."""
        self._has_ended(guest)
        self._close(fd)

    def _close(self, fd: int) -> None:
        guest = self._guests.pop(fd)
        guest.connection.close()  # takes it out of the epoll set
        self._gone(guest.visit)

    def _gone(self, visit: Visit) -> None:
        self._activity.leave(visit)
        self._acceptor.released()
        if self._all_gone is not None and not self._all_gone.done() and not (self._guests or self._sessions):
            self._all_gone.set_result(None)
