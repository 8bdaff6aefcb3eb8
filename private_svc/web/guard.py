"""What every request passes: who is calling, may they, and what every answer says about this Machine."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable
from html import escape
from typing import TYPE_CHECKING

from aiohttp import web

from private_svc import logs
from private_svc.ingress import Ingress
from private_svc.web.caller import caller_of, connection_of
from private_svc.web.marks import marks
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
CALLER_GONE = 499  # in the accounts alone: who would see it has left
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
        connection = connection_of(request)
        if connection is None:  # who it was cannot be told any more, so nothing may come of it
            return web.Response(status=CALLER_GONE)
        caller = caller_of(request)
        self._activity.requests[caller.ingress] += 1
        exposed = caller.ingress is Ingress.PUBLIC
        if exposed:
            self._context.exposure.through(request.headers.get("X-Forwarded-For", "").rpartition(",")[2])
        refused = exposed and self._private_only
        is_work = not (refused or caller.ingress is Ingress.PLATFORM or request.path == HEALTH_PATH)
        await connection.request_began(request, caller, f"{request.method} {_path(request)}", is_work=is_work)
        if refused:
            self._context.exposure.refuse(caller)
            response: web.StreamResponse = web.Response(status=403, text=REFUSAL)
        elif request.path != HEALTH_PATH and not is_our_name(_host(request), self._allowed_hosts):
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

    async def mark(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add what every answer carries, just before it leaves."""
        context = self._context
        context.boot.stamp("first_response")
        response.headers.update(marks(context))
        policy = APP_POLICY if request.path.startswith(APP_PATH) else PANEL_POLICY
        response.headers.setdefault("Content-Security-Policy", policy)
        connection = connection_of(request)
        if response.status == SWITCHING_PROTOCOLS:
            if connection is not None and connection.visit is not None:
                connection.visit.doing = f"WebSocket {_path(request)}"
        elif self.draining or "Upgrade" in request.headers:  # aiohttp may read nothing more after a declined upgrade
            response.force_close()
            response.headers["Connection"] = "close"  # aiohttp chose this header before it asked us


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _raised(request, error)
    except web.RequestPayloadError:
        return problem(request, 400, "expected a body as its headers announce it")
    except Exception:  # noqa: BLE001 - the edge: one broken handler must not show its insides or stop the service
        if request.transport is None:
            return web.Response(status=CALLER_GONE)
        logs.event("handler failed", level=logging.ERROR, exc_info=True, path=_path(request))
        if request.writer.output_size:
            request.transport.close()  # an answer that has begun cannot become another
        return problem(request, 500, "Internal Server Error")


def _raised(request: web.Request, error: web.HTTPException) -> web.Response:
    """Return the answer that a handler raised, in the form the caller asked for unless it has words of its own."""
    if error.text in {None, f"{error.status}: {error.reason}"}:
        response = problem(request, error.status, error.reason)
    else:
        response = web.Response(
            status=error.status, reason=error.reason, text=error.text, content_type=error.content_type
        )
    for name in error.headers.keys() - response.headers.keys() - {"Content-Length"}:  # Allow, Location, ...
        response.headers[name] = error.headers[name]
    response.cookies.update(error.cookies)
    return response


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


def _host(request: web.Request) -> str:
    """Return the name that `request` is for: that of an absolute target counts, not Host (RFC 9112 section 3.2.2)."""
    if request.raw_path.startswith(("/", "*")):
        return request.headers.get("Host", "")
    return request.url.host or ""


def _path(request: web.Request) -> str:
    """Return the path without its query, which may hold secrets."""
    return request.rel_url.raw_path[:PATH_AT_MOST]
