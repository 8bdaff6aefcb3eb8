"""The metrics listener: `GET /metrics` and nothing else.

Fly scrapes a Machine directly over the private network (docs/fly.md, "Metrics and logs"), so this port is bound where
Fly Proxy cannot reach it, and the guard refuses everybody else. A scrape is not work.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from private_svc.web import guard
from private_svc.web.caller import connection_of, path_of
from private_svc.web.connections import CALLER_SECONDS, Connections
from private_svc.web.marks import mark

if TYPE_CHECKING:
    import socket

    from private_svc.context import Context

OPEN_AT_MOST = 16


class Scrape:
    """Answers on the metrics listener."""

    def __init__(self, context: Context, caller_seconds: float = CALLER_SECONDS) -> None:
        self._context = context
        self._checks = guard.for_metrics(context)
        self._caller_seconds = caller_seconds

    def start(self, listening: socket.socket) -> None:
        """Begin to answer."""
        self._server = web.Server(self._answer)
        self._connections = Connections(
            "metrics", listening, self._server, self._context, self._caller_seconds, OPEN_AT_MOST
        )
        self._connections.start()

    async def stop(self) -> None:
        """Stop at once: who scrapes comes again."""
        await self._connections.drain(0)
        await self._server.shutdown(0)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = connection_of(request)
        if connection is None:
            raise TypeError("expected a request of this service's own listener")
        caller = connection.caller(())
        connection.request_began(caller, f"{request.method} {path_of(request)}")
        refusal = await guard.first_refusal(self._checks, request, caller)
        response = refusal or await self._scraped(request)
        mark(response.headers, self._context)
        return response

    async def _scraped(self, request: web.BaseRequest) -> web.Response:
        if request.path != "/metrics":
            return web.Response(status=404, text="404: the metrics are at /metrics\n")
        if request.method not in {"GET", "HEAD"}:
            return web.Response(status=405, headers={"Allow": "GET, HEAD"})
        content_type, body = await asyncio.get_running_loop().run_in_executor(None, self._exposition)
        return web.Response(body=body, headers={"Content-Type": content_type})

    def _exposition(self) -> tuple[str, bytes]:
        from private_svc import metrics  # noqa: PLC0415 - the first scrape pays for the import, in a thread

        return metrics.CONTENT_TYPE, metrics.exposition(self._context)
