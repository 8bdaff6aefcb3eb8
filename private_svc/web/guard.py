"""What every request passes: who is calling, may they, and what every answer says about this Machine.

The guard stands before the application, not in it: who is refused, or only asks whether this Machine is well, is
answered before anything is routed.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable
from html import escape
from typing import TYPE_CHECKING, TypeVar

from aiohttp import web

from private_svc import logs
from private_svc.ingress import Ingress
from private_svc.web import health
from private_svc.web.caller import connection_of, said_client
from private_svc.web.marks import mark
from private_svc.web.negotiate import Form, negotiate
from private_svc.web.origin import is_our_name
from private_svc.web.websockets import is_over

if TYPE_CHECKING:
    from private_svc.context import Context

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
AnyResponse = TypeVar("AnyResponse", bound=web.StreamResponse)

REFUSAL = (
    "403: this service is private, and you came in through a public address of its app.\n"
    "Remove that address (`fly ips list`, then `fly ips release ADDRESS`) and use Flycast or 6PN,\n"
    "or set PRIVATE_ONLY=0 to serve the public.\n"
)
NOT_OUR_NAME = (
    "421: this service does not know itself by the name in your Host header.\n"
    "Use its .flycast or .internal name or its address, or add the name to ALLOWED_HOSTS.\n"
)
CONTINUE = "100-continue"  # the one expectation there is (RFC 9110 section 10.1.1)
NOT_EXPECTED = f"417: expected {CONTINUE} in Expect, got something else.\n"
PATH_AT_MOST = 200
APP_PATH = "/app/"
SWITCHING_PROTOCOLS = 101
CALLER_GONE = 499  # in the accounts alone: who would see it has left
PANEL_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
APP_POLICY = "frame-ancestors 'none'; base-uri 'none'"  # unless the application says its own


class Guard:
    """Stands in front of the application."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._activity = context.activity
        self._private_only = context.config.private_only
        own = (f"{context.machine.app_name}.fly.dev",) if context.machine.app_name else ()
        self._allowed_hosts = (context.config.allowed_hosts or ()) + own
        self._well = health.Well(context, {"Content-Security-Policy": PANEL_POLICY})
        self.draining = False

    async def answer(self, request: web.Request, application: Handler) -> web.StreamResponse:
        """Refuse the public; have everybody else answered, whatever goes wrong, and log it."""
        started_s = time.perf_counter()
        connection = connection_of(request)
        if connection is None:
            raise TypeError("expected a request of this service's own listener")
        caller = connection.caller(said_client(request))
        self._activity.requests[caller.ingress] += 1
        exposed = caller.ingress is Ingress.PUBLIC
        if exposed:
            self._context.exposure.through(request.headers.get("X-Forwarded-For", "").rpartition(",")[2])
        refused = exposed and self._private_only
        about_health = request.path == health.PATH
        is_work = not (refused or about_health or caller.ingress is Ingress.PLATFORM)
        path = health.PATH if about_health else _path(request)
        connection.request_began(caller, f"{request.method} {path}", is_work=is_work)
        if refused:
            self._context.exposure.refuse(caller)
            response: web.StreamResponse = self._marked(request, web.Response(status=403, text=REFUSAL))
        elif request.headers.get("Expect", CONTINUE).lower() != CONTINUE:
            response = self._marked(request, web.Response(status=417, text=NOT_EXPECTED))
        elif about_health:
            response = self._health(request)
        elif not is_our_name(_host(request), self._allowed_hosts):
            response = self._marked(request, web.Response(status=421, text=NOT_OUR_NAME))
        else:
            response = await _answer(request, application)
        self._activity.answers[caller.ingress, response.status] += 1
        self._activity.drained += self.draining
        if not (about_health or refused):
            logs.event(
                "request",
                method=request.method,
                path=path,
                status=response.status,
                ms=round((time.perf_counter() - started_s) * 1000, 1),
                ingress=caller.ingress,
                client=caller.client,
            )
        return response

    def _health(self, request: web.Request) -> web.StreamResponse:
        """Say whether new work is welcome."""
        if request.method not in health.METHODS:
            response = problem(request, 405, "Method Not Allowed")
            response.headers["Allow"] = ",".join(health.METHODS)
        elif self.draining:
            response = web.Response(status=503, text=health.DRAINING)
        elif health.is_plain(request):
            self._context.boot.stamp("first_response")
            return self._well
        else:
            response = web.Response(text=health.OK)
        return self._marked(request, response)

    async def mark(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add what every answer carries to one of the application, just before it leaves; for `on_response_prepare`."""
        self._marked(request, response)
        if response.status == SWITCHING_PROTOCOLS:
            connection = connection_of(request)
            if connection is not None:
                connection.visit.doing = f"WebSocket {_path(request)}"

    def _marked(self, request: web.Request, response: AnyResponse) -> AnyResponse:
        """Add what every answer carries, and return it."""
        context = self._context
        context.boot.stamp("first_response")
        mark(response.headers, context)
        policy = APP_POLICY if request.path.startswith(APP_PATH) else PANEL_POLICY
        response.headers.setdefault("Content-Security-Policy", policy)
        if response.status != SWITCHING_PROTOCOLS and (self.draining or "Upgrade" in request.headers):
            response.force_close()  # aiohttp may read nothing more after a declined upgrade
            response.headers["Connection"] = "close"  # aiohttp chose this header before it asked us
        return response


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _raised(request, error)
    except web.RequestPayloadError:
        return problem(request, 400, "expected a body as its headers announce it")
    except Exception as error:  # noqa: BLE001 - the edge: one broken handler must not show its insides or stop us
        transport = request.transport
        ended = transport is None or transport.is_closing() or is_over(request)
        if transport is None or (ended and isinstance(error, ConnectionError)):
            return web.Response(status=CALLER_GONE)
        logs.event("handler failed", level=logging.ERROR, exc_info=True, path=_path(request))
        if request.writer.output_size:
            transport.close()  # an answer that has begun cannot become another
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
