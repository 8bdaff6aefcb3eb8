"""From accepted socket to aiohttp: who is connected, who is being answered, and how they all leave.

aiohttp has no deadline of its own for slow headers in every version we support, and cannot tell when a connection is
really gone. So each of its protocol handlers is wrapped in a `Connection` that knows.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from private_svc.accept import Acceptor
from private_svc.deadlines import Deadlines

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from private_svc.activity import Activity
    from private_svc.boot import Boot

HEADER_SECONDS = 15.0  # from accept, or from the last answer, until the next request's headers are complete
FIRST_REQUEST_SECONDS = 0.5  # while draining, for a caller who was accepted and has not asked yet
OPEN_AT_MOST = 1000


class Connection(asyncio.Protocol):
    """One admin connection: passes everything on to aiohttp's `handler` and keeps its own account."""

    __slots__ = ("_handler", "_owner", "asked", "in_flight", "local", "peer", "transport")

    def __init__(self, handler: asyncio.Protocol, owner: Connections) -> None:
        self._handler = handler
        self._owner = owner
        self.asked = False
        self.in_flight = 0
        self.peer = self.local = ""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)
        # An answer is finished when the kernel has all of it: then leaving cannot cut one short.
        self.transport.set_write_buffer_limits(high=0)
        self.peer = (transport.get_extra_info("peername") or ("",))[0]
        self.local = (transport.get_extra_info("sockname") or ("",))[0]
        self._owner.opened(self)
        self._handler.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Pass on."""
        self._handler.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass on."""
        return self._handler.eof_received()

    def pause_writing(self) -> None:
        """Pass on."""
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        """Pass on."""
        self._handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._handler.connection_lost(exc)
        self._owner.closed(self)

    def request_began(self) -> None:
        """Note that the headers of a request are complete; it is in flight until the current task ends."""
        self.asked = True
        self.in_flight += 1
        self._owner.busy(self)
        task = asyncio.current_task()
        if task is not None:
            task.add_done_callback(self._request_ended)

    def _request_ended(self, _: asyncio.Task[object]) -> None:
        self.in_flight -= 1
        if self.in_flight == 0 and self.transport is not None and not self.transport.is_closing():
            self._owner.waiting(self)

    def close(self) -> None:
        """Close, after what was written has been sent."""
        if self.transport is not None:
            self.transport.close()


class Connections:
    """Every admin connection, from the listening socket to its end."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listening: socket.socket,
        make_handler: Callable[[], asyncio.Protocol],
        activity: Activity,
        boot: Boot,
        header_seconds: float = HEADER_SECONDS,
    ) -> None:
        self._loop = loop
        self._make_handler = make_handler
        self._activity = activity
        self._boot = boot
        self._acceptor = Acceptor(loop, listening, self._take, limit=OPEN_AT_MOST)
        self._opening: set[asyncio.Task[object]] = set()
        self._open: set[Connection] = set()
        self._headers_due: Deadlines[Connection] = Deadlines(loop, header_seconds, Connection.close)
        self._nobody_left: asyncio.Future[None] | None = None

    def start(self) -> None:
        """Begin to accept."""
        self._acceptor.start()

    async def drain(self, seconds: float) -> int:
        """Stop accepting, let every request in flight finish; return how many connections were left after `seconds`."""
        self._acceptor.finish()
        if self._opening:
            await asyncio.wait(self._opening)
        await asyncio.sleep(0)  # one turn of the loop: requests that have arrived are now in flight
        self._close_idle(lambda connection: connection.asked)
        grace = self._loop.call_later(min(FIRST_REQUEST_SECONDS, seconds), self._close_idle)
        if self._open:
            self._nobody_left = self._loop.create_future()
            await asyncio.wait([self._nobody_left], timeout=seconds)
        grace.cancel()
        return len(self._open)

    def _close_idle(self, also: Callable[[Connection], bool] = lambda _: True) -> None:
        for connection in [c for c in self._open if c.in_flight == 0 and also(c)]:
            connection.close()

    def _take(self, accepted: socket.socket, _: str) -> None:
        self._boot.stamp("first_accept")
        task: asyncio.Task[object] = self._loop.create_task(
            self._loop.connect_accepted_socket(self._make_connection, accepted)
        )
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def _make_connection(self) -> Connection:
        return Connection(self._make_handler(), self)

    def opened(self, connection: Connection) -> None:
        """Count `connection` in, and wait for its first request."""
        self._open.add(connection)
        self._activity.admin_connections += 1
        self._headers_due.start(connection)

    def busy(self, connection: Connection) -> None:
        """Stop waiting for `connection` to ask."""
        self._headers_due.stop(connection)

    def waiting(self, connection: Connection) -> None:
        """Wait for the next request of `connection`."""
        self._headers_due.start(connection)

    def closed(self, connection: Connection) -> None:
        """Count `connection` out."""
        self._headers_due.stop(connection)
        self._open.discard(connection)
        self._activity.admin_connections -= 1
        self._acceptor.released()
        if self._nobody_left is not None and not self._open and not self._nobody_left.done():
            self._nobody_left.set_result(None)
