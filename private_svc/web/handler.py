"""aiohttp's side of one connection."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web

from private_svc import logs
from private_svc.web.framing import FIELDS_AT_MOST, HEAD_AT_MOST
from private_svc.web.marks import mark

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from private_svc.context import Context
    from private_svc.web.connection import Connection


class Handler(web.RequestHandler):
    """Tells the connection when a request begins to be handled and when its answer is out."""

    __slots__ = ("_context", "connection")

    connection: Connection  # whose side it is

    def __init__(self, server: web.Server, context: Context) -> None:
        # Only the connection closes itself when it is idle, and frames what comes; so aiohttp has no limits of its own.
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type] # as the runner has it: no access log
            keepalive_timeout=float("inf"),
            tcp_keepalive=False,
            max_line_size=HEAD_AT_MOST,
            max_field_size=HEAD_AT_MOST,
            max_headers=FIELDS_AT_MOST + 1,
        )
        self._context = context

    async def _handle_request(
        self,
        request: web.BaseRequest,
        start_time: float | None,
        request_handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    ) -> tuple[web.StreamResponse, bool]:
        """Handle one request, to the end of its answer."""
        self.connection.request_handed(request)
        may_stay = False
        try:
            response, is_lost = await super()._handle_request(request, start_time, request_handler)
            may_stay = bool(response.keep_alive) and not is_lost
        finally:
            if self.connection.request_ended(may_stay=may_stay):
                await self.connection.lingering_close()
        return response, is_lost

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,  # noqa: ARG002 - aiohttp's signature; the log has it
        message: str | None = None,  # noqa: ARG002 - it may quote the request, and so a token
    ) -> web.StreamResponse:
        """Return the answer to what aiohttp could not read, or could not hand on."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            logs.event("handler failed", level=logging.ERROR, exc_info=True)
        if request.writer.output_size:
            raise ConnectionError("an answer that has begun cannot become another")
        self._context.activity.answers[self.connection.caller(()).ingress, status] += 1
        response = web.Response(status=status, text=f"{status}: {HTTPStatus(status).phrase}\n")
        mark(response.headers, self._context)
        response.force_close()
        return response
