"""What every request of the admin listener passes: count it, let the guard judge it, have it answered, log it.

The front stands before the applications, not in them: a caller that is refused, or asks for `/healthz`, is answered
before anything is routed. Behind the front are up to two aiohttp applications: the panel and yours.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from aiohttp import web

from private_svc import logs
from private_svc.ingress import Ingress
from private_svc.web import guard, health
from private_svc.web.admin_token import ADMIN_TOKEN, AdminToken
from private_svc.web.caller import connection_of, fly_client_ips, path_of, user_of
from private_svc.web.marks import mark
from private_svc.web.replies import problem, raised
from private_svc.web.websockets import WebSockets, is_over

if TYPE_CHECKING:
    from multidict import CIMultiDict

    from private_svc.context import Context

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Marker = Callable[["CIMultiDict[str]", "Context"], None]
AnyResponse = TypeVar("AnyResponse", bound=web.StreamResponse)

SWITCHING_PROTOCOLS = 101
CALLER_GONE = 499  # for logs and metrics only: the caller has left and sees no status
PANEL_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the admin listener: who may ask it, what answers, and what its answers carry."""

    checks: guard.Checks
    answer: Handler
    mark: Marker


class Front:
    """Stands in front of `/healthz`, the panel and your application."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._activity = context.activity
        self._turned_away = guard.turned_away(context)
        self._healthy = health.Healthy(context, {"Content-Security-Policy": PANEL_POLICY})
        self._health = Part(guard.for_health(context), self._answer_health, mark_panel)
        self._parts: list[tuple[Callable[[str], bool], Part]] = []
        self.token = AdminToken(context)
        self.websockets = WebSockets()
        self.draining = False

    def serve(self, covers: Callable[[str], bool], checks: guard.Checks, handler: Handler, marker: Marker) -> None:
        """Have `handler` answer the paths that `covers` accepts and no earlier call has taken."""
        self._parts.append((covers, Part(checks, partial(_answered, handler), marker)))

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer `request`, whatever goes wrong, and log it."""
        started_s = time.perf_counter()
        connection = connection_of(request)
        if connection is None:
            raise TypeError("expected a request of this service's own listener")
        caller = connection.caller(fly_client_ips(request))
        self._activity.requests[caller.ingress] += 1
        if caller.ingress is Ingress.PUBLIC:
            self._context.exposure.through(request.headers.get("X-Forwarded-For", "").rpartition(",")[2])
        part = self._part(request.path)
        about_health = part is self._health
        turned_away = caller.ingress in self._turned_away
        path = health.PATH if about_health else path_of(request)
        connection.request_began(caller, f"{request.method} {path}")
        request[ADMIN_TOKEN] = self.token
        refusal = await guard.first_refusal(part.checks, request, caller)
        if refusal is not None:
            response = self._marked(request, refusal, part.mark)
        else:
            # Only now it is work: a caller that is refused must not keep an idle Machine up.
            if not (about_health or caller.ingress is Ingress.PLATFORM):
                connection.request_is_work()
            response = await part.answer(request)
        status = response.status if response.prepared or request.transport is not None else CALLER_GONE
        self._activity.answers[caller.ingress, status] += 1
        self._activity.drained += self.draining
        if not (about_health or turned_away):
            logs.event(
                "request",
                method=request.method,
                path=path,
                status=status,
                ms=round((time.perf_counter() - started_s) * 1000, 1),
                ingress=caller.ingress,
                client=caller.client,
                **user_of(request),
            )
        return response

    def marking(self, marker: Marker) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
        """Return what adds `marker`'s headers to an answer just before it leaves; for `on_response_prepare`."""

        async def mark_prepared(request: web.Request, response: web.StreamResponse) -> None:
            self._marked(request, response, marker)
            if response.status == SWITCHING_PROTOCOLS:
                self.websockets.note(request, response)
                connection = connection_of(request)
                if connection is not None:
                    connection.visit.doing = f"WebSocket {path_of(request)}"

        return mark_prepared

    def _part(self, path: str) -> Part:
        if path == health.PATH:
            return self._health
        for covers, part in self._parts:
            if covers(path):
                return part
        raise LookupError(f"expected a part for every path, got none for {path:.200}")

    async def _answer_health(self, request: web.BaseRequest) -> web.StreamResponse:
        """Say whether new work is welcome."""
        if request.method not in health.METHODS:
            response = problem(request, 405, "Method Not Allowed")
            response.headers["Allow"] = ",".join(health.METHODS)
        elif self.draining:
            response = web.Response(status=503, text=health.DRAINING)
        elif health.is_plain(request):
            self._context.boot.stamp("first_response")
            return self._healthy
        else:
            response = web.Response(text=health.OK)
        return self._marked(request, response, mark_panel)

    def _marked(self, request: web.BaseRequest, response: AnyResponse, marker: Marker) -> AnyResponse:
        """Add what every answer carries, and return it."""
        self._context.boot.stamp("first_response")
        marker(response.headers, self._context)
        if response.status != SWITCHING_PROTOCOLS and (self.draining or "Upgrade" in request.headers):
            response.force_close()  # aiohttp may read nothing more after a declined upgrade
            response.headers["Connection"] = "close"  # aiohttp chose this header before it asked us
        return response


def mark_panel(headers: CIMultiDict[str], context: Context) -> None:
    """Put on what every answer of `/healthz` and the panel carries."""
    mark(headers, context)
    headers.setdefault("Content-Security-Policy", PANEL_POLICY)


async def _answered(handler: Handler, request: web.BaseRequest) -> web.StreamResponse:
    """Return what `handler` answers, or the answer to its failure."""
    try:
        response: object = await handler(request)
        if isinstance(response, web.StreamResponse):
            return response
        raise TypeError(f"expected an answer of the handler of {path_of(request)}, got {response!r}")  # noqa: TRY301
    except web.HTTPException as error:
        return raised(request, error)
    except web.RequestPayloadError:
        return problem(request, 400, "expected a body as its headers announce it")
    except Exception as error:  # noqa: BLE001 - the edge: one broken handler must not show its insides or stop us
        transport = request.transport
        ended = transport is None or transport.is_closing() or is_over(request)
        if transport is None or (ended and isinstance(error, ConnectionError)):
            return web.Response(status=CALLER_GONE)
        logs.event("handler failed", level=logging.ERROR, exc_info=True, path=path_of(request))
        if request.writer.output_size:
            transport.close()  # an answer that has begun cannot become another
        return problem(request, 500, "Internal Server Error")
