"""What every request passes: who is calling, may they, and what every answer says about this Machine."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from html import escape
from typing import TYPE_CHECKING

from aiohttp import web

from private_svc import logs
from private_svc.ingress import Caller, Ingress
from private_svc.web.connections import Connection
from private_svc.web.negotiate import Form, negotiate

if TYPE_CHECKING:
    from private_svc.activity import Activity
    from private_svc.boot import Boot
    from private_svc.ingress import Classifier

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

REFUSAL = (
    "403: this service is private, and you came in through a public address of its app.\n"
    "Remove that address (`fly ips list`, then `fly ips release ADDRESS`) and use Flycast or 6PN,\n"
    "or set PRIVATE_ONLY=0 to serve the public.\n"
)
REFUSAL_LOG_SECONDS = 60.0
PATH_AT_MOST = 200
SILENT_PATH = "/healthz"
HEADERS = {
    "Server": "private-svc",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
}


class Guard:
    """Stands in front of every handler."""

    def __init__(self, who: Classifier, activity: Activity, boot: Boot, machine_id: str, *, private_only: bool) -> None:
        self._who = who
        self._activity = activity
        self._boot = boot
        self._headers = HEADERS | {"X-Machine-Id": machine_id}
        self._private_only = private_only
        self._refusal_logged_s = float("-inf")
        self.draining = False

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse the public; answer everybody else, whatever goes wrong, and log it."""
        started_s = time.perf_counter()
        caller = self.caller(request)
        self._activity.requests[caller.ingress] += 1
        connection, task = _connection(request), asyncio.current_task()
        if connection is not None and task is not None:
            connection.request_began(task)
        if self._private_only and caller.ingress is Ingress.PUBLIC:
            self._count_refusal(caller)
            return web.Response(status=403, text=REFUSAL)
        response = await _answer(request, handler)
        if request.path != SILENT_PATH:
            logs.event(
                "request",
                method=request.method,
                path=_path(request),
                status=response.status,
                ms=round((time.perf_counter() - started_s) * 1000, 1),
                ingress=caller.ingress,
                client=caller.client,
            )
        return response

    def caller(self, request: web.Request) -> Caller:
        """Return who sent `request`."""
        connection = _connection(request)
        if connection is None:
            return Caller(Ingress.UNKNOWN, request.remote or "")
        return self._who(connection.peer, connection.local, tuple(request.headers.getall("Fly-Client-IP", ())))

    async def mark(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add what every answer carries, just before it leaves."""
        self._boot.stamp("first_response")
        response.headers.update(self._headers)
        response.headers["Server-Timing"] = self._boot.server_timing()
        if self.draining or "Upgrade" in request.headers:  # aiohttp may read nothing more after a declined upgrade
            response.force_close()
            response.headers["Connection"] = "close"  # aiohttp chose this header before it asked us

    def _count_refusal(self, caller: Caller) -> None:
        self._activity.refused += 1
        now_s = time.monotonic()
        if now_s - self._refusal_logged_s >= REFUSAL_LOG_SECONDS:
            self._refusal_logged_s = now_s
            logs.event(
                "refused",
                level=logging.WARNING,
                ingress=caller.ingress,
                client=caller.client,
                refused=self._activity.refused,
                fix="this app has a public address: fly ips list, fly ips release ADDRESS",
            )


def _connection(request: web.Request) -> Connection | None:
    protocol = request.transport.get_protocol() if request.transport is not None else None
    return protocol if isinstance(protocol, Connection) else None


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        response = problem(request, error.status, error.reason)
        for name in error.headers.keys() - response.headers.keys() - {"Content-Length"}:  # Allow, Location, ...
            response.headers[name] = error.headers[name]
        return response
    except Exception:  # noqa: BLE001 - the edge: one broken handler must not show its insides or stop the service
        logs.event("handler failed", level=logging.ERROR, exc_info=True, path=_path(request))
        return problem(request, 500, "Internal Server Error")


def json_line(answer: dict[str, object], status: int = 200) -> web.Response:
    """Return `answer` as JSON that ends its line, for terminals."""
    return web.Response(status=status, text=json.dumps(answer) + "\n", content_type=Form.JSON)


def problem(request: web.Request, status: int, reason: str) -> web.Response:
    """Return a small error in the form the caller asked for."""
    form = negotiate(request.headers.get("Accept", ""))
    if form is Form.JSON:
        return json_line({"status": status, "error": reason}, status)
    text = f"{status}: {reason}\n"
    if form is Form.HTML:
        text = f"<!doctype html><html lang=en><title>{status}</title><h1>{status}</h1><p>{escape(reason)}</p></html>\n"
    return web.Response(status=status, text=text, content_type=form)


def _path(request: web.Request) -> str:
    """Return the path without its query, which may hold secrets."""
    return request.rel_url.raw_path[:PATH_AT_MOST]
