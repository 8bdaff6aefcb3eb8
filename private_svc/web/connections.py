"""The connections of one HTTP listener: how they are taken, who gives way to whom, and how they all leave."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from private_svc.accept import Acceptor
from private_svc.web.connection import Connection
from private_svc.web.malformed import Handler

if TYPE_CHECKING:
    import socket

    from aiohttp import web

    from private_svc.context import Context

CALLER_SECONDS = 15.0
GRACE_SECONDS = 0.5  # while draining, for a caller who has not asked yet: a request may be on its way
OPEN_AT_MOST = 1000


class Connections:
    """Every connection of one HTTP listener, from the listening socket to its end."""

    def __init__(
        self,
        name: str,
        listening: socket.socket,
        server: web.Server,
        context: Context,
        caller_seconds: float = CALLER_SECONDS,
        open_at_most: int = OPEN_AT_MOST,
    ) -> None:
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._server = server
        self._context = context
        self._caller_seconds = caller_seconds
        self._acceptor = Acceptor(self._loop, self._loop, listening, self._take, self._make_room, limit=open_at_most)
        self._open: dict[asyncio.Task[None], Connection] = {}  # the longest here first

    def start(self) -> None:
        """Begin to accept."""
        self._acceptor.start()

    async def drain(self, seconds: float) -> int:
        """Stop accepting, let every request in flight finish; return how many connections were left after `seconds`."""
        await self._acceptor.finish()
        if not self._open:
            return 0
        grace = self._loop.call_later(min(GRACE_SECONDS, seconds), self._close_idle)
        await asyncio.wait(self._open, timeout=seconds)
        grace.cancel()
        return len(self._open)

    def _close_idle(self) -> None:
        for connection in self._open.values():
            if connection.is_idle:
                connection.transport.close()

    def _make_room(self) -> bool:
        """Close the oldest connection that waits for nothing: who keeps asking can connect again."""
        for connection in self._open.values():
            if connection.is_idle and not connection.is_new:
                connection.transport.close()
                return True
        return False

    def _take(self, accepted: socket.socket, _: str) -> None:
        self._context.boot.stamp("first_accept")
        context = self._context
        handler = Handler(self._server, context)
        connection = Connection(handler, self._name, context.who, context.activity, self._caller_seconds)
        handler.connection = connection
        task = self._loop.create_task(self._see_to_its_end(connection, accepted))
        self._open[task] = connection
        task.add_done_callback(self._gone)

    async def _see_to_its_end(self, connection: Connection, accepted: socket.socket) -> None:
        await self._loop.connect_accepted_socket(lambda: connection, accepted)
        await connection.ended

    def _gone(self, task: asyncio.Task[None]) -> None:
        del self._open[task]
        self._acceptor.released()
