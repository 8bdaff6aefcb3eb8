"""One HTTP connection: who is on it, what they wait for, and how long we wait for them.

aiohttp has no deadline of its own for slow headers, slow bodies or callers that do not read, and cannot tell when a
connection is really gone. So each of its protocol handlers is wrapped in a `Connection` that knows:

- The headers of a request are complete `caller_seconds` after the connection, or after the answer before.
- Once a request is in flight, its caller sends some of the body that is still to come, and takes some of what is on its
  way, between two looks `caller_seconds` apart. The kernel's account counts (tcp(7), TCP_INFO): what sendfile(2) sends
  never passes asyncio.
- Who does neither is disconnected. A look that comes late was slept through: the Machine was suspended.
- Who closes their half may still read: `nc -N` does. They are answered, if that takes no longer than
  `HALF_CLOSED_SECONDS`; most who close their half have gone.
- Requests that arrive together take turns with everybody else's: from Python 3.12 on, where tasks start eagerly,
  aiohttp would answer all of them first.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from aiohttp import web

    from private_svc.activity import Activity, Visit
    from private_svc.ingress import Caller, Classifier

LATE_SECONDS = 1.0
JUST_NOW_SECONDS = 0.1  # what was read this lately may be a request that aiohttp is about to hand on
JUST_ANSWERED_SECONDS = 0.01  # so may be one that was read together with the one before
NEW_SECONDS = 0.5  # so long after the connection its first request may still be on its way
HALF_CLOSED_SECONDS = 2.0
TCP_INFO = struct.Struct("=24xI92xQQ8xI")  # linux/tcp.h: packets unacked; bytes acked, received and not sent


class Connection(asyncio.Protocol):
    """One HTTP connection: passes everything on to aiohttp's `handler` and keeps its own account."""

    def __init__(
        self, handler: asyncio.Protocol, listener: str, who: Classifier, activity: Activity, caller_seconds: float
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._handler = handler
        self._listener = listener
        self._who = who
        self._activity = activity
        self._caller_seconds = caller_seconds
        self._looks: asyncio.TimerHandle | None = None
        self._waiting_since_s = self._loop.time()
        self._heard_s = float("-inf")  # when we last read something that is not answered yet
        self._heard_more = False  # since the last request began
        self._is_deaf = False
        self._said_all = False  # the caller has closed their half
        self._request: web.BaseRequest | None = None  # in flight
        self._has_asked = False
        self._stood: tuple[int | None, int | None] = (None, None)
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self.visit: Visit | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)
        # An answer is finished when the kernel has all of it: then leaving cannot cut one short.
        self.transport.set_write_buffer_limits(high=0)
        self._socket: socket.socket = transport.get_extra_info("socket")
        self.peer: str = (transport.get_extra_info("peername") or ("",))[0]
        self.local: str = (transport.get_extra_info("sockname") or ("",))[0]
        self.visit = self._activity.arrive(self._listener, self.caller(()))
        self._look_in(self._caller_seconds)
        self._handler.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Pass on."""
        if not self._is_deaf:
            self._heard_s, self._heard_more = self._loop.time(), True
            self._handler.data_received(data)

    def eof_received(self) -> bool:
        """Pass on, and keep our half open while there may be an answer to come."""
        self._handler.eof_received()
        self._said_all = True
        if self._is_deaf or (self._request is None and self._heard_s == float("-inf")):
            return False
        if self._request is None:
            self._loop.call_later(JUST_NOW_SECONDS, self._close_unless_asked)
        self._loop.call_later(HALF_CLOSED_SECONDS, self.transport.close)
        return True

    def pause_writing(self) -> None:
        """Pass on."""
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        """Pass on."""
        self._handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if self._looks is not None:
            self._looks.cancel()
        if self.visit is not None:
            self._activity.leave(self.visit)
        self._handler.connection_lost(exc)
        if not self.ended.done():
            self.ended.set_result(None)

    def caller(self, fly_client_ip: tuple[str, ...]) -> Caller:
        """Return who is connected, given every value of a request's Fly-Client-IP."""
        return self._who(self.peer, self.local, fly_client_ip)

    def request_began(self, request: web.BaseRequest, caller: Caller, doing: str, *, is_work: bool) -> bool:
        """Note that the headers of `request` are complete; it is in flight until its answer is out.

        Return whether it came together with the one before, so that it is somebody else's turn.
        """
        self._request, self._has_asked = request, True
        if self.visit is not None:
            self.visit.caller = caller
            self._activity.begin(self.visit, doing, is_work=is_work)
        came_later, self._heard_more = self._heard_more, False
        return not came_later

    async def see_off(self, seconds: float) -> None:
        """Close our half and read on until the caller closes its own, or `seconds` are over.

        Closing with bytes unread would reset the connection, and could destroy an answer on its way (RFC 1122 section
        4.2.2.13).
        """
        self._is_deaf = True
        self.transport.write_eof()
        await asyncio.wait([self.ended], timeout=seconds)

    @property
    def is_idle(self) -> bool:
        """Tell whether nobody would miss an answer if it were closed now."""
        if self.visit is None or self._request is not None or self.transport.is_closing():
            return False
        now_s = self._loop.time()
        if now_s - self._heard_s <= JUST_NOW_SECONDS or now_s - self._waiting_since_s <= JUST_ANSWERED_SECONDS:
            return False
        return not _has_unread(self._socket)

    @property
    def is_new(self) -> bool:
        """Tell whether its first request may still be on its way."""
        return not self._has_asked and self._loop.time() - self._waiting_since_s < NEW_SECONDS

    def request_ended(self, request: web.BaseRequest) -> None:
        """Note that the answer to `request` is out, or cannot be; one that never began does not count."""
        if self._request is not request:
            return
        self._request = None
        self._waiting_since_s, self._heard_s = self._loop.time(), float("-inf")
        if self.visit is not None:
            self._activity.done(self.visit)
        if self._said_all:
            self._loop.call_later(JUST_ANSWERED_SECONDS, self._close_unless_asked)

    def _close_unless_asked(self) -> None:
        if self._request is None:
            self.transport.close()

    def _look_in(self, seconds: float) -> None:
        self._look_at_s = self._loop.time() + seconds
        self._looks = self._loop.call_at(self._look_at_s, self._look)

    def _look(self) -> None:
        """Give up on a caller who keeps us waiting."""
        now_s = self._loop.time()
        if now_s - self._look_at_s > LATE_SECONDS:
            self._waiting_since_s, self._stood = now_s, (None, None)
        left_s = self._caller_seconds
        if self._request is None:
            left_s -= now_s - self._waiting_since_s
        if left_s <= 0 or self._stands_still():
            self._give_up()
            left_s = self._caller_seconds  # to be gone
        self._look_in(left_s)

    def _stands_still(self) -> bool:
        """Return whether the caller of the request in flight has sent and taken nothing since the last look."""
        if self._request is None:
            return False
        unacked, acked, received, unsent = TCP_INFO.unpack(
            self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO.size)
        )
        to_take = bool(unacked or unsent or self.transport.get_write_buffer_size())
        to_send = self.transport.is_reading() and not self._request.content.is_eof()
        before, self._stood = self._stood, (acked if to_take else None, received if to_send else None)
        return any(now is not None and now == then for now, then in zip(self._stood, before, strict=True))

    def _give_up(self) -> None:
        if self._request is None and not self.transport.get_write_buffer_size():
            self.transport.close()
        else:  # a polite close would wait for the caller, and closing under a sendfile would leave it hanging
            self._socket.shutdown(socket.SHUT_RDWR)


def _has_unread(connection: socket.socket) -> bool:
    return fcntl.ioctl(connection.fileno(), termios.FIONREAD, bytes(4)) != bytes(4)
