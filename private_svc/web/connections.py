"""The connections of one HTTP listener: how they are taken, who gives way to whom, and how they all leave."""

from __future__ import annotations

import asyncio
import logging
import socket
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING

from multidict import CIMultiDict

from private_svc import logs
from private_svc.accept import Acceptor
from private_svc.web.connection import Connection
from private_svc.web.handler import Handler
from private_svc.web.marks import mark
from private_svc.web.states import AWAITED, State

if TYPE_CHECKING:
    from aiohttp import web

    from private_svc.accept import Address
    from private_svc.context import Context
    from private_svc.web.framing import BadRequestError

CALLER_SECONDS = 15.0
GRACE_SECONDS = 0.5  # while draining, for a caller that has not asked yet: a request may be on its way
OPEN_AT_MOST = 1000
MALFORMED_LOG_SECONDS = 10.0


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
        self.context = context
        self.caller_seconds = caller_seconds
        self._name = name
        self._loop = loop = asyncio.get_running_loop()
        self._server = server
        self._acceptor = Acceptor(
            loop, loop, listening, self._take, self._make_room, limit=open_at_most, socket_type=socket.socket
        )
        # Each connection inherits it: the kernel gives up on a caller that takes nothing for so long (tcp(7)).
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(caller_seconds * 1000))
        self._open: dict[Connection, asyncio.Task[object]] = {}  # the oldest first
        self.is_leaving = False
        self._changed = asyncio.Event()
        self._malformed = 0
        self._log_limit = logs.RateLimit(MALFORMED_LOG_SECONDS)

    def start(self) -> None:
        """Begin to accept."""
        self._acceptor.start()

    async def drain(self, seconds: float) -> int:
        """Stop accepting, let every request in flight finish; return how many were cut after `seconds`."""
        leave_at_s = self._loop.time() + seconds
        await self._acceptor.finish()
        self.is_leaving = True
        grace = self._loop.call_later(min(GRACE_SECONDS, seconds), self._close_idle)
        try:
            async with asyncio.timeout_at(leave_at_s):
                while any(it.state is not State.CLOSING for it in self._open):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass
        grace.cancel()
        return sum(it.state in AWAITED for it in self._open)

    def moved(self, connection: Connection) -> None:
        """Forget a connection that is closed; close one that has its answer while leaving."""
        self._changed.set()
        if connection.state is State.CLOSED:
            del self._open[connection]
            self.context.activity.leave(connection.visit)
            self._acceptor.released()
        elif connection.state is State.IDLE:
            self._loop.call_soon(_close_if_idle, connection)

    def refusal(self, connection: Connection, error: BadRequestError, *, has_body: bool) -> bytes:
        """Return the answer to what is no request; count it, and log one now and then."""
        caller = connection.visit.caller
        self.context.activity.answers[caller.ingress, int(error.status)] += 1
        self._malformed += 1
        if self._log_limit.allows():
            logs.event(
                "malformed request",
                level=logging.WARNING,
                listener=self._name,
                status=int(error.status),
                reason=error.reason,
                ingress=caller.ingress,
                client=caller.client,
                malformed=self._malformed,
            )
        text = f"{error.status}: {error.reason}\n"
        headers: CIMultiDict[str] = CIMultiDict(
            {
                "Content-Type": "text/plain; charset=utf-8",
                "Content-Length": str(len(text)),
                "Date": formatdate(usegmt=True),
                "Connection": "close",
            }
        )
        mark(headers, self.context)
        head = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}"]
        head += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*head, "", text if has_body else ""]).encode()

    def _close_idle(self) -> None:
        for connection in list(self._open):
            _close_if_idle(connection)

    def _make_room(self) -> bool:
        """Close the oldest connection without a request in flight: its caller can connect again."""
        return any(not it.may_be_asking and it.give_way() for it in list(self._open))

    def _take(self, accepted: socket.socket, address: Address) -> None:
        self.context.boot.stamp("first_accept")
        caller = self.context.who.of_peer(address[0], accepted.getsockname)
        visit = self.context.activity.arrive(self._name, caller)
        handler = Handler(self._server, self.context)
        connection = handler.connection = Connection(handler, self, visit)
        self._open[connection] = self._loop.create_task(
            self._loop.connect_accepted_socket(lambda: connection, accepted)
        )


def _close_if_idle(connection: Connection) -> None:
    if connection.state is State.IDLE:
        connection.give_way()
