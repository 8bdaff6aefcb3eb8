"""From accepted socket to aiohttp: who is connected, who is being answered, and how they all leave.

aiohttp has no deadline of its own for slow headers or for callers that do not read, and cannot tell when a connection
is really gone. So each of its protocol handlers is wrapped in a `Connection` that knows.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from private_svc.accept import Acceptor

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from private_svc.activity import Activity, Visit
    from private_svc.context import Context
    from private_svc.ingress import Caller, Classifier

CALLER_SECONDS = 15.0  # to complete the headers of the next request, or to take some of what was written
LATE_SECONDS = 1.0  # a deadline this late was slept through: the Machine was suspended, and the caller could not know
GRACE_SECONDS = 0.5  # while draining, for a caller who has not asked yet: a request may be on its way
OPEN_AT_MOST = 1000


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
        self._deadline: asyncio.TimerHandle | None = None
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self.in_flight = 0
        self.visit: Visit | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)
        # An answer is finished when the kernel has all of it: then leaving cannot cut one short.
        self.transport.set_write_buffer_limits(high=0)
        self.peer: str = (transport.get_extra_info("peername") or ("",))[0]
        self.local: str = (transport.get_extra_info("sockname") or ("",))[0]
        self.visit = self._activity.arrive(self._listener, self.caller(()))
        self._wait_for_caller()
        self._handler.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Pass on."""
        self._handler.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass on."""
        return self._handler.eof_received()

    def pause_writing(self) -> None:
        """Pass on; the caller has to read before its time is up."""
        self._wait_for_caller()
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        """Pass on."""
        if self.in_flight:
            self._stop_waiting()
        self._handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._stop_waiting()
        if self.visit is not None:
            self._activity.leave(self.visit)
        self._handler.connection_lost(exc)
        if not self.ended.done():
            self.ended.set_result(None)

    def caller(self, fly_client_ip: tuple[str, ...]) -> Caller:
        """Return who is connected, given every value of a request's Fly-Client-IP."""
        return self._who(self.peer, self.local, fly_client_ip)

    def request_began(self, task: asyncio.Task[object], caller: Caller, doing: str, *, is_work: bool) -> None:
        """Note that the headers of a request are complete; it is in flight until `task` ends."""
        self.in_flight += 1
        self._stop_waiting()
        if self.visit is not None:
            self.visit.caller = caller
            self._activity.begin(self.visit, doing, is_work=is_work)
        task.add_done_callback(self._request_ended)

    def _request_ended(self, _: asyncio.Task[object]) -> None:
        self.in_flight -= 1
        if not self.in_flight and not self.ended.done():
            if self.visit is not None:
                self._activity.done(self.visit)
            self._wait_for_caller()

    def _wait_for_caller(self) -> None:
        self._stop_waiting()
        self._deadline = self._loop.call_later(self._caller_seconds, self._give_up)

    def _give_up(self) -> None:
        if self._deadline is not None and self._loop.time() - self._deadline.when() > LATE_SECONDS:
            self._wait_for_caller()
        elif self.transport.get_write_buffer_size():
            self.transport.abort()  # a polite close would wait for the caller to read
        else:
            self.transport.close()

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()


class Connections:
    """Every connection of one HTTP listener, from the listening socket to its end."""

    def __init__(
        self,
        name: str,
        listening: socket.socket,
        make_handler: Callable[[], asyncio.Protocol],
        context: Context,
        caller_seconds: float = CALLER_SECONDS,
        open_at_most: int = OPEN_AT_MOST,
    ) -> None:
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._make_handler = make_handler
        self._context = context
        self._caller_seconds = caller_seconds
        self._acceptor = Acceptor(self._loop, listening, self._take, self._make_room, limit=open_at_most)
        self._open: dict[asyncio.Task[None], Connection] = {}  # the longest here first

    def start(self) -> None:
        """Begin to accept."""
        self._acceptor.start()

    async def drain(self, seconds: float) -> int:
        """Stop accepting, let every request in flight finish; return how many connections were left after `seconds`."""
        self._acceptor.finish()
        if not self._open:
            return 0
        grace = self._loop.call_later(min(GRACE_SECONDS, seconds), self._close_idle)
        await asyncio.wait(self._open, timeout=seconds)
        grace.cancel()
        return len(self._open)

    def _close_idle(self) -> None:
        for connection in self._open.values():
            if connection.visit and not connection.in_flight:
                connection.transport.close()

    def _make_room(self) -> None:
        """Close the oldest connection that has nothing in flight: who keeps asking can connect again."""
        idle = (it for it in self._open.values() if it.visit and not it.in_flight and not it.transport.is_closing())
        longest = next(idle, None)
        if longest is not None:
            longest.transport.close()

    def _take(self, accepted: socket.socket, _: str) -> None:
        self._context.boot.stamp("first_accept")
        context = self._context
        connection = Connection(self._make_handler(), self._name, context.who, context.activity, self._caller_seconds)
        task = self._loop.create_task(self._see_to_its_end(connection, accepted))
        self._open[task] = connection
        task.add_done_callback(self._gone)

    async def _see_to_its_end(self, connection: Connection, accepted: socket.socket) -> None:
        await self._loop.connect_accepted_socket(lambda: connection, accepted)
        await connection.ended

    def _gone(self, task: asyncio.Task[None]) -> None:
        del self._open[task]
        self._acceptor.released()
