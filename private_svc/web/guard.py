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
from private_svc.web.origin import is_our_name

if TYPE_CHECKING:
    from private_svc.context import Context

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

REFUSAL = (
    "403: this service is private, and you came in through a public address of its app.\n"
    "Remove that address (`fly ips list`, then `fly ips release ADDRESS`) and use Flycast or 6PN,\n"
    "or set PRIVATE_ONLY=0 to serve the public.\n"
)
NOT_OUR_NAME = (
    "421: this service does not know itself by the name in your Host header.\n"
    "Use its .flycast or .internal name or its address, or add the name to ALLOWED_HOSTS.\n"
)
PATH_AT_MOST = 200
HEALTH_PATH = "/healthz"
APP_PATH = "/app/"
SWITCHING_PROTOCOLS = 101
HEADERS = {"Server": "private-svc", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
PANEL_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
APP_POLICY = "frame-ancestors 'none'; base-uri 'none'"  # unless the application says its own


class Guard:
    """Stands in front of every handler."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._activity = context.activity
        self._private_only = context.config.private_only
        own = (f"{context.machine.app_name}.fly.dev",) if context.machine.app_name else ()
        self._allowed_hosts = (context.config.allowed_hosts or ()) + own
        self.draining = False

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse the public; answer everybody else, whatever goes wrong, and log it."""
        started_s = time.perf_counter()
        caller = self.caller(request)
        self._activity.requests[caller.ingress] += 1
        exposed = caller.ingress is Ingress.PUBLIC
        if exposed:
            self._context.exposure.through(request.headers.get("X-Forwarded-For", "").rpartition(",")[2])
        refused = exposed and self._private_only
        is_work = not (refused or caller.ingress is Ingress.PLATFORM or request.path == HEALTH_PATH)
        connection, task = connection_of(request), asyncio.current_task()
        if connection is not None and task is not None:
            connection.request_began(task, caller, f"{request.method} {_path(request)}", is_work=is_work)
        if refused:
            self._context.exposure.refuse(caller)
            response: web.StreamResponse = web.Response(status=403, text=REFUSAL)
        elif request.path != HEALTH_PATH and not is_our_name(request.headers.get("Host", ""), self._allowed_hosts):
            response = web.Response(status=421, text=NOT_OUR_NAME)
        else:
            response = await _answer(request, handler)
        self._activity.answers[caller.ingress, response.status] += 1
        self._activity.drained += self.draining
        if request.path != HEALTH_PATH and not refused:
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
        connection = connection_of(request)
        if connection is None:
            return Caller(Ingress.UNKNOWN, request.remote or "")
        return connection.caller(tuple(request.headers.getall("Fly-Client-IP", ())))

    async def mark(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add what every answer carries, just before it leaves."""
        context = self._context
        context.boot.stamp("first_response")
        response.headers.update(HEADERS)
        response.headers["X-Machine-Id"] = context.machine.machine_id
        response.headers["Server-Timing"] = context.boot.server_timing(context.awake.resumed_s)
        policy = APP_POLICY if request.path.startswith(APP_PATH) else PANEL_POLICY
        response.headers.setdefault("Content-Security-Policy", policy)
        connection = connection_of(request)
        if response.status == SWITCHING_PROTOCOLS:
            if connection is not None and connection.visit is not None:
                connection.visit.doing = f"WebSocket {_path(request)}"
        elif self.draining or "Upgrade" in request.headers:  # aiohttp may read nothing more after a declined upgrade
            response.force_close()
            response.headers["Connection"] = "close"  # aiohttp chose this header before it asked us


def connection_of(request: web.Request) -> Connection | None:
    """Return the connection that `request` came on, while it is open."""
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
