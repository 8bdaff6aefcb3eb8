"""What is no HTTP request: it is answered with 400 and its connection closed, before anybody asks who sent it.

aiohttp finds the fault and calls no handler of ours, so this is where its answer gets what every answer carries, and
loses what aiohttp quotes of the request: that may be the token.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web

from private_svc import logs
from private_svc.web.connection import Connection
from private_svc.web.marks import mark

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter

    from private_svc.context import Context

FOR_EVER = float("inf")
LINGER_SECONDS = 2.0  # for the rest of a body that nobody wants, so that its sender sees the answer and no reset


class Handler(web.RequestHandler):
    """aiohttp's side of one connection."""

    __slots__ = ("_context", "connection")

    connection: Connection  # whose side it is

    def __init__(self, server: web.Server, context: Context) -> None:
        # Only we close idle connections: aiohttp would, on waking from a suspension, with a request on its way.
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type] # as the runner has it: no access log
            keepalive_timeout=FOR_EVER,
            lingering_time=LINGER_SECONDS,
        )
        self._context = context

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send what is left of an answer; then its request is no longer in flight."""
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self.connection.request_ended(request)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,  # noqa: ARG002 - aiohttp's signature; the log has it
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the answer to what aiohttp could not read, or could not hand on."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            logs.event("handler failed", level=logging.ERROR, exc_info=True)
        if request.writer.output_size:
            raise ConnectionError("an answer that has begun cannot become another")
        self._context.activity.answers[self.connection.caller(()).ingress, status] += 1
        fault = message.partition(":")[0] if message else HTTPStatus(status).phrase
        response = LastAnswer(status=status, text=f"{status}: {fault}\n")
        mark(response.headers, self._context)
        response.force_close()
        return response


class LastAnswer(web.Response):
    """An answer to somebody who may still be sending."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Begin to send it."""
        self._transport = request.transport
        return await super().prepare(request)

    async def write_eof(self, data: bytes = b"") -> None:
        """Finish it, and see the caller off."""
        await super().write_eof(data)
        connection = self._transport.get_protocol() if self._transport is not None else None
        if isinstance(connection, Connection):
            await connection.see_off(LINGER_SECONDS)
