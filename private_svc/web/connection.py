"""One HTTP connection: in one state at a time, moved by events and one deadline.

states.py has the table of states and moves. aiohttp gets one request of a connection at a time; what is pipelined
behind it waits here, so that no caller delays another. The kernel ends a connection whose caller takes no more of its
answer (TCP_USER_TIMEOUT, which each connection inherits from the listening socket, tcp(7)).
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import termios
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol, cast

from aiohttp import web

from private_svc.web.framing import (
    HEAD_AT_MOST,
    NO_BODY,
    BadRequestError,
    check_beginning,
    read_head,
    without_empty_lines,
)
from private_svc.web.states import MOVES, RUNNING, Event, State

if TYPE_CHECKING:
    from private_svc.activity import Visit
    from private_svc.context import Context
    from private_svc.ingress import Caller
    from private_svc.web.framing import Body

LATE_SECONDS = 1.0  # a deadline noticed later than this was slept through: the Machine was suspended
NEW_SECONDS = 0.5  # so long after the connection its first request may still be on its way
HALF_CLOSED_SECONDS = 2.0  # for the answer to a caller that closed its half: `nc -N` still reads, most others have gone
LINGER_SECONDS = 2.0  # to take what still comes: closing with bytes unread would reset the answer (RFC 1122 4.2.2.13)
HELD_AT_MOST = 64 * 1024  # bytes of pipelined requests
NEVER = float("inf")


class Owner(Protocol):
    """What a connection asks of those that hold all connections of its listener."""

    context: Context
    caller_seconds: float
    is_leaving: bool

    def refusal(self, connection: Connection, error: BadRequestError, *, has_body: bool) -> bytes:
        """Return the answer to what is no request."""

    def moved(self, connection: Connection) -> None:
        """Note that a connection is closed, or, while the listener is leaving, in another state."""


class Connection(asyncio.Protocol):
    """One HTTP connection, between its transport and aiohttp's `handler`."""

    transport: asyncio.Transport

    def __init__(self, handler: asyncio.Protocol, owner: Owner, visit: Visit) -> None:
        self._loop = asyncio.get_running_loop()
        self._handler = handler
        self._owner = owner
        self.visit = visit
        self._peer = visit.caller  # whoever is behind it
        self.state = State.IDLE
        self._deadline_s = NEVER
        self._timer: asyncio.TimerHandle | None = None  # due at the deadline, or before it
        self._held = b""  # what aiohttp has not got
        self._checked = 0  # how many bytes of it `check_beginning` has seen
        self._body: Body = NO_BODY  # of the last request
        self._body_fault: web.RequestPayloadError | None = None
        self._request: web.BaseRequest | None = None  # while its handler runs
        self._has_asked = False
        self._is_answered = False  # while the body is still coming
        self._is_half_closed = False  # the caller has closed its half
        self._gone: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)
        # An answer is out when the kernel has all of it: then leaving cannot cut one short.
        self.transport.set_write_buffer_limits(high=0)
        self._socket: socket.socket = transport.get_extra_info("socket")
        self._wait(self._owner.caller_seconds)
        self._handler.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Hand on what belongs to the request in flight, and hold what comes after it."""
        if self.state is State.TUNNEL:
            self._handler.data_received(data)
        elif self.state is State.BUSY and not self._body.is_complete:
            self._read_body(data)
        elif self.state is not State.CLOSING and self._body_fault is None:
            self._held += data
            if self.state is not State.BUSY:
                self._read_head()
            elif len(self._held) > HELD_AT_MOST:
                self.transport.pause_reading()

    def eof_received(self) -> bool:
        """Keep our half open while an answer may still be read."""
        self._is_half_closed = True
        if self.state is not State.BUSY or not self._body.is_complete:
            return False
        self._wait(HALF_CLOSED_SECONDS)
        return True

    def pause_writing(self) -> None:
        """Pass on."""
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        """Pass on."""
        self._handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """End, but for a handler that still runs."""
        self._deadline_s = NEVER
        if self._timer is not None:
            self._timer.cancel()
        self._move(Event.LOST)
        if self.state is State.ORPHAN and self._request is None:
            self._move(Event.LAST_ANSWER)
        self._handler.connection_lost(exc)
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    def caller(self, fly_client_ip: tuple[str, ...]) -> Caller:
        """Return who is connected, given every value of a request's Fly-Client-IP."""
        return self._owner.context.who.behind(self._peer, fly_client_ip)

    def request_began(self, caller: Caller, doing: str) -> None:
        """Note who sent the request in flight, and what they wait for; it is no work yet."""
        self.visit.caller = caller
        self._owner.context.activity.begin(self.visit, doing, is_work=False)

    def request_is_work(self) -> None:
        """Note that the request in flight is work."""
        self._owner.context.activity.works(self.visit)

    def request_handed(self, request: web.BaseRequest) -> None:
        """Note that `request` is about to be handled; raise `ConnectionResetError` when its caller has left."""
        if self.state not in RUNNING:
            raise ConnectionResetError("the caller left before its request was handled")
        self._request, self._has_asked = request, True
        if self._body_fault is not None:
            request.content.set_exception(self._body_fault)

    def request_ended(self, *, may_stay: bool) -> bool:
        """Note that an answer is out, or cannot be sent; return whether the connection needs a lingering close."""
        self._request = None
        self._owner.context.activity.done(self.visit)
        more_may_come = bool(self._held) or not self._is_half_closed
        if self.state is State.BUSY and may_stay and more_may_come and self._body_fault is None:
            self._is_answered = True
            if not self._body.is_complete:
                self._wait(LINGER_SECONDS)  # for what is left of a body that nobody wanted
            self._go_idle_when_over()
            return False
        self._move(Event.LAST_ANSWER)
        return self.state is State.CLOSING

    async def lingering_close(self) -> None:
        """Close our half, and wait until the caller closes its own, or for `LINGER_SECONDS`."""
        self._gone = self._loop.create_future()
        self._close_our_half()
        await asyncio.wait([self._gone], timeout=LINGER_SECONDS)

    @property
    def may_be_asking(self) -> bool:
        """Tell whether a request may be on its way: the connection, or the head, began just now."""
        since_s = self._deadline_s - self._owner.caller_seconds
        is_new = self._loop.time() - since_s < NEW_SECONDS
        return is_new and (self.state is State.HEAD or not self._has_asked)

    def give_way(self) -> bool:
        """Close the connection if no request is in flight, nor waits to be read; return whether that is so."""
        if self.state not in (State.IDLE, State.HEAD) or self._deadline_s == NEVER or self._has_more_to_read():
            return False
        self._move(Event.GIVE_WAY)
        self.transport.close()
        return True

    def _read_head(self) -> None:
        """Hand the next head to aiohttp once it is whole."""
        if not self._checked:
            self._held = without_empty_lines(self._held)
        end = self._held.find(b"\r\n\r\n", max(0, self._checked - 3), HEAD_AT_MOST) + 4
        try:
            if end < 4:  # noqa: PLR2004 - not found
                check_beginning(self._held, self._checked)
                self._checked = len(self._held)
                if self._held and self.state is State.IDLE:
                    self._move(Event.BYTES)
                    self._wait(self._owner.caller_seconds)
                return
            head = read_head(self._held[:end])
        except BadRequestError as error:
            self._refuse(error)
            return
        rest, self._held, self._checked = self._held[end:], b"", 0
        self._body = head.body
        self._move(Event.TUNNEL_REQUEST if head.asks_for_tunnel else Event.REQUEST)
        self._deadline_s = NEVER if self._body.is_complete else self._loop.time() + self._owner.caller_seconds
        self._handler.data_received(head.data)
        if rest:
            self.data_received(rest)

    def _read_body(self, data: bytes) -> None:
        """Hand on what belongs to the body of the request in flight."""
        try:
            own, self._held = self._body.cut(data)
        except BadRequestError as error:
            self._body_fault = web.RequestPayloadError(error.reason)
            self._body = NO_BODY
            if self._request is not None:
                self._request.content.set_exception(self._body_fault)
            return
        if own:
            self._handler.data_received(own)
        if self._body.is_complete:
            self._deadline_s = NEVER
            self._go_idle_when_over()
        elif not self._is_answered:
            self._wait(self._owner.caller_seconds)

    def _go_idle_when_over(self) -> None:
        """Wait for the next request once the answer is out and the body is in."""
        if self._is_answered and self._body.is_complete:
            self._is_answered = False
            self._move(Event.ANSWERED)
            self._wait(self._owner.caller_seconds)
            self.transport.resume_reading()
            if self._held:
                self._loop.call_soon(self._read_held)  # in turn with everybody else

    def _read_held(self) -> None:
        if self.state is State.IDLE:
            self._read_head()

    def _refuse(self, error: BadRequestError) -> None:
        """Answer what is no request, and read nothing more."""
        answer = self._owner.refusal(self, error, has_body=not self._held.startswith(b"HEAD "))
        self._held = b""
        self._move(Event.BAD_REQUEST)
        self.transport.write(answer)
        self._close_our_half()

    def _close_our_half(self) -> None:
        """Say that nothing more follows; what still comes is thrown away."""
        self._wait(LINGER_SECONDS)
        if not self.transport.is_closing():
            with suppress(OSError):  # the caller has reset the connection
                self.transport.write_eof()

    def _move(self, event: Event) -> None:
        self.state = MOVES[self.state, event]
        if self.state is State.CLOSED or self._owner.is_leaving:
            self._owner.moved(self)

    def _wait(self, seconds: float) -> None:
        """Set the deadline; a timer that is due earlier stays, and is set again when it is due."""
        self._deadline_s = self._loop.time() + seconds
        if self._timer is not None and self._timer.when() > self._deadline_s:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(self._deadline_s, self._check_deadline)

    def _check_deadline(self) -> None:
        """Act on a deadline that has passed."""
        now_s = self._loop.time()
        due_s = self._timer.when() if self._timer is not None else now_s
        self._timer = None
        if now_s - due_s > LATE_SECONDS:
            self._deadline_s = now_s + self._owner.caller_seconds
        if now_s < self._deadline_s:
            if self._deadline_s != NEVER:
                self._timer = self._loop.call_at(self._deadline_s, self._check_deadline)
        else:
            self._time_is_up()

    def _time_is_up(self) -> None:
        if self.state is State.IDLE and not self._has_more_to_read():
            self._move(Event.GIVE_WAY)
            self.transport.close()
        elif self.state is State.HEAD:
            self._refuse(BadRequestError(HTTPStatus.REQUEST_TIMEOUT, "expected the end of the request head"))
        elif self.state is State.CLOSING:
            self.transport.abort()
        elif self._is_answered:
            self._move(Event.LAST_ANSWER)
            self._close_our_half()
        elif self._is_half_closed and not self._is_sending():
            self.transport.close()
        elif self._is_half_closed:
            self._wait(HALF_CLOSED_SECONDS)
        elif not self._body.is_complete and self.transport.is_reading():
            self._body_fault = web.RequestPayloadError("the body did not come in time")
            self._socket.shutdown(socket.SHUT_RDWR)  # closing under a sendfile would leave it hanging
        else:  # it is the handler that is slow
            self._wait(self._owner.caller_seconds)

    def _is_sending(self) -> bool:
        """Tell whether some of the answer is on its way, here or in the kernel (tcp(7), SIOCOUTQ)."""
        return bool(self.transport.get_write_buffer_size()) or _bytes(self._socket, termios.TIOCOUTQ)

    def _has_more_to_read(self) -> bool:
        """Tell whether bytes wait that nobody has read: to close then would reset the connection."""
        return bool(self._held and self.state is State.IDLE) or _bytes(self._socket, termios.FIONREAD)


def _bytes(connection: socket.socket, queue: int) -> bool:
    """Tell whether the kernel has bytes in one of the queues of a connection."""
    return fcntl.ioctl(connection.fileno(), queue, bytes(4)) != bytes(4)
