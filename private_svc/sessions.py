"""Sessions on the raw port: the conversations of the handler that RAW names. Imported only where RAW names a handler.

- The handler is `async def handle(reader, writer, caller)`, or takes the caller and returns an `asyncio.Protocol`.
- A session lasts until the handler has returned, also when its caller has left; with a protocol, until the connection
  is closed. For so long it counts as work.
- What the handler has written is sent before the connection is closed. Then our half is closed and what still arrives
  is thrown away, so that no reset destroys the answer on its way.
- While draining, each handler sees the end of its input, as if the caller had closed its half: it can finish what it
  does, and say goodbye. A handler that has not returned in time is cancelled.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from abc import ABC, abstractmethod
from contextlib import suppress
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, cast

from private_svc import logs

if TYPE_CHECKING:
    import _socket
    from collections.abc import Awaitable, Callable

    from private_svc.activity import Visit
    from private_svc.ingress import Caller

    Streams = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Caller], Awaitable[None]]
    Protocols = Callable[[Caller], asyncio.Protocol]
    Handler = Streams | Protocols

SEND_SECONDS = 15.0  # for a caller to take what the handler has written
CLOSE_SECONDS = 2.0  # for a caller to close its half after that


def takes_streams(handler: Callable[..., object]) -> bool:
    """Return whether `handler` is a coroutine function, or an object that is called like one."""
    return iscoroutinefunction(handler) or iscoroutinefunction(type(handler).__call__)


class Sessions:
    """Every session that is open."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, handler: Callable[..., object], on_end: Callable[[Visit], None]
    ) -> None:
        self._loop = loop
        self._handler = handler
        self._on_end = on_end
        self._kind = StreamSession if takes_streams(handler) else ProtocolSession
        self._open: dict[asyncio.Task[None], Session] = {}

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, accepted: _socket.socket, visit: Visit) -> None:
        """Let the handler talk to a caller."""
        session = self._kind(self._loop, self._handler, accepted, visit)
        task = self._loop.create_task(session.run())
        self._open[task] = session
        task.add_done_callback(self._ended)

    async def drain(self, seconds: float, close_seconds: float) -> int:
        """End the input of every handler; cancel those that have not returned after `seconds`; return how many."""
        if not self._open:
            return 0
        for session in self._open.values():
            session.end_input()
        await asyncio.wait([session.finished for session in self._open.values()], timeout=seconds)
        cut = [task for task, session in self._open.items() if not session.finished.done()]
        for task in cut:
            task.cancel()
        if self._open:
            await asyncio.wait(self._open, timeout=close_seconds)
        return len(cut)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._on_end(self._open.pop(task).visit)


class Session(ABC):
    """One connection in the hands of the handler."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, handler: Callable[..., Any], accepted: _socket.socket, visit: Visit
    ) -> None:
        self.visit = visit
        self.finished: asyncio.Future[None] = loop.create_future()  # the handler has no more to do or to say
        self._loop = loop
        self._handler = handler
        self._connection = Connection(loop, accepted)
        self._transport: asyncio.Transport | None = None

    async def run(self) -> None:
        """Have the conversation until the connection is closed; a failure of the handler is logged, and ends it."""
        try:
            await self._converse()
            self.finished.set_result(None)
            await self._linger()
        finally:
            if self._transport is None:
                self._connection.close()
            else:
                self._transport.abort()

    async def _converse(self) -> None:
        try:
            await self._talk()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the edge: it is not our code
            caller_left = self._transport is not None and self._transport.is_closing()
            if not (isinstance(error, ConnectionError | EOFError) and (caller_left or self._input_has_ended())):
                caller = self.visit.caller
                failed = {"ingress": caller.ingress, "client": caller.client}
                logs.event("raw handler failed", level=logging.ERROR, exc_info=True, **failed)

    @abstractmethod
    async def _talk(self) -> None:
        """Let the handler talk, until it has no more to say."""

    @abstractmethod
    async def _linger(self) -> None:
        """Wait until closing the connection cannot destroy the last bytes that were sent."""

    @abstractmethod
    def _input_has_ended(self) -> bool:
        """Tell whether the handler cannot get what it waits to read."""

    @abstractmethod
    def end_input(self) -> None:
        """Let the handler see the end of its input."""


class StreamSession(Session):
    """A session of `async def handle(reader, writer, caller)`."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, handler: Callable[..., Any], accepted: _socket.socket, visit: Visit
    ) -> None:
        super().__init__(loop, handler, accepted, visit)
        self._reader = asyncio.StreamReader(loop=loop)
        self._input = Input(self._reader, loop=loop)

    async def _talk(self) -> None:
        self._transport, _ = await self._loop.connect_accepted_socket(lambda: self._input, self._connection)
        self._transport.set_write_buffer_limits(high=0)  # so that `drain` waits until the kernel has all of it
        self._writer = asyncio.StreamWriter(self._transport, self._input, self._reader, self._loop)
        await self._handler(self._reader, self._writer, self.visit.caller)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._writer.drain(), SEND_SECONDS)

    async def _linger(self) -> None:
        """Close our half, and throw away what arrives until the caller closes its half."""
        if self._transport is None:
            return
        self._input.nobody_reads()
        self._transport.resume_reading()
        with suppress(OSError):  # the caller has gone
            if self._writer.can_write_eof():
                self._writer.write_eof()
        if self._input.caller_is_done or not self._writer.can_write_eof():
            self._writer.close()
        await asyncio.wait([self._connection.closed], timeout=CLOSE_SECONDS)

    def _input_has_ended(self) -> bool:
        return self._reader.at_eof()

    def end_input(self) -> None:
        """Let the reader come to its end."""
        self._input.end()


class Input(asyncio.StreamReaderProtocol):
    """Feeds a reader until its input ends; what arrives after that is thrown away."""

    def __init__(self, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(reader, loop=loop)
        self._has_ended = False
        self._is_read = True
        self.caller_is_done = False

    def data_received(self, data: bytes) -> None:
        """Feed the reader."""
        if not self._has_ended:
            super().data_received(data)

    def eof_received(self) -> bool:
        """Note that the caller has closed its half; close ours, too, once the handler has returned."""
        self.caller_is_done = True
        return self.end() and self._is_read

    def end(self) -> bool:
        """Let the reader come to its end; return whether more can be written then, which TLS does not allow."""
        self._has_ended = True
        return bool(super().eof_received())

    def nobody_reads(self) -> None:
        """Note that the handler has returned."""
        self._has_ended, self._is_read = True, False


class ProtocolSession(Session):
    """A session of an asyncio protocol that the handler makes."""

    async def _talk(self) -> None:
        self._transport, _ = await self._loop.connect_accepted_socket(self._made, self._connection)
        await self._connection.closed

    def _made(self) -> asyncio.Protocol:
        protocol = self._handler(self.visit.caller)
        if not isinstance(protocol, asyncio.Protocol):
            raise TypeError(f"RAW: expected an asyncio.Protocol, got {type(protocol).__name__}")
        return protocol

    async def _linger(self) -> None:
        """Do nothing: the connection is closed."""

    def _input_has_ended(self) -> bool:
        return False

    def end_input(self) -> None:
        """Do what the event loop does when the caller closes its half."""
        self._loop.call_soon(self._end_input)

    def _end_input(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.pause_reading()
        if not cast("asyncio.Protocol", self._transport.get_protocol()).eof_received():
            self._transport.close()


class Connection(socket.socket):
    """A socket that tells when the event loop closes it: the end of a connection, whatever protocol it has by then."""

    def __init__(self, loop: asyncio.AbstractEventLoop, accepted: _socket.socket) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, accepted.detach())
        self.closed: asyncio.Future[None] = loop.create_future()

    def close(self) -> None:
        """Close it."""
        super().close()
        if not self.closed.done():
            self.closed.set_result(None)
