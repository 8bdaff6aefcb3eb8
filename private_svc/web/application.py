"""The admin web application: its routes, and how it is put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aiohttp import web

from private_svc.web import panel
from private_svc.web.guard import json_line
from private_svc.web.negotiate import Form, negotiate

if TYPE_CHECKING:
    from private_svc.ingress import Caller
    from private_svc.web.guard import Guard

BODY_BYTES_AT_MOST = 64 * 1024
SECRET_WORDS = ("authorization", "cookie", "token", "secret", "password", "api-key")
STATIC_FILES = {"panel.css": "text/css", "icon.svg": "image/svg+xml"}

Look = Callable[["Caller"], panel.Status]


def application(guard: Guard, look: Look) -> web.Application:
    """Return the admin application; `look(caller)` gives the status that caller is shown."""
    pages = Pages(guard, look)
    web_app = web.Application(middlewares=[guard.middleware()], client_max_size=BODY_BYTES_AT_MOST)
    web_app.on_response_prepare.append(guard.mark)
    web_app.add_routes(
        [
            web.get("/", pages.panel),
            web.get("/api/status", pages.status),
            web.get("/healthz", pages.healthz),
            web.get("/whoami", pages.whoami),
            web.get("/static/{name}", pages.static),
        ]
    )
    return web_app


class Pages:
    """The handlers."""

    def __init__(self, guard: Guard, look: Look) -> None:
        self._guard = guard
        self._look = look

    async def panel(self, request: web.Request) -> web.Response:
        """Show this Machine in the form the caller asked for."""
        form = negotiate(request.headers.get("Accept", ""))
        if form is Form.JSON:
            return await self.status(request)
        status = self._look(self._guard.caller(request))
        text = panel.as_html(status) if form is Form.HTML else panel.as_text(status)
        return _fresh(web.Response(text=text, content_type=form))

    async def status(self, request: web.Request) -> web.Response:
        """Show this Machine as JSON, whatever was asked for."""
        return _fresh(json_line(panel.as_json(self._look(self._guard.caller(request)))))

    async def healthz(self, _: web.Request) -> web.Response:
        """Say whether new work is welcome."""
        if self._guard.draining:
            return web.Response(status=503, text="draining\n")
        return web.Response(text="ok\n")

    async def whoami(self, request: web.Request) -> web.Response:
        """Echo the request, without its secrets, and who sent it."""
        caller = self._guard.caller(request)
        headers = [(name, redacted(name, value)) for name, value in request.headers.items()]
        line = f"{request.method} {request.raw_path} HTTP/{request.version.major}.{request.version.minor}"
        if negotiate(request.headers.get("Accept", "")) is Form.JSON:
            echo = {"request": line, "headers": headers, "peer": request.remote}
            return _fresh(json_line({**echo, "ingress": caller.ingress, "client": caller.client}))
        rows = [line, *(f"{name}: {value}" for name, value in headers), ""]
        rows += [f"peer: {request.remote}", f"ingress: {caller.ingress}", f"client: {caller.client}", ""]
        return _fresh(web.Response(text="\n".join(rows)))

    async def static(self, request: web.Request) -> web.StreamResponse:
        """Serve one of the panel's files."""
        name = request.match_info["name"]
        if name not in STATIC_FILES:
            raise web.HTTPNotFound
        headers = {"Cache-Control": "public, max-age=3600"}
        return web.Response(text=panel.static_file(name), content_type=STATIC_FILES[name], headers=headers)


def redacted(name: str, value: str) -> str:
    """Return the value of a header, unless its name says it is a secret."""
    return "(redacted)" if any(word in name.lower() for word in SECRET_WORDS) else value


def _fresh(response: web.Response) -> web.Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["Vary"] = "Accept"
    return response
