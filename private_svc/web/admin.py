"""The admin side: its routes and what they answer, and how it starts and drains."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from aiohttp import web

from private_svc import __version__
from private_svc.web import panel
from private_svc.web.connections import CALLER_SECONDS, Connections
from private_svc.web.guard import Guard, json_line
from private_svc.web.negotiate import Form, negotiate

if TYPE_CHECKING:
    import socket

    from private_svc.activity import Activity
    from private_svc.boot import Boot
    from private_svc.ingress import Caller, Classifier
    from private_svc.listeners import Listener
    from private_svc.machine import Machine

SECRET_WORDS = ("authorization", "cookie", "token", "secret", "password", "api-key")
STATIC_FILES = {"panel.css": "text/css", "icon.svg": "image/svg+xml"}
CUT_SECONDS = 0.1  # for a cancelled request to notice


class Admin:
    """The admin listener, answered."""

    def __init__(
        self,
        who: Classifier,
        activity: Activity,
        boot: Boot,
        machine: Machine,
        listeners: tuple[Listener, ...],
        *,
        private_only: bool,
        caller_seconds: float = CALLER_SECONDS,
    ) -> None:
        self._activity = activity
        self._boot = boot
        self._machine = machine
        self._listeners = listeners
        self._caller_seconds = caller_seconds
        self._guard = Guard(who, activity, boot, machine.machine_id, private_only=private_only)
        self.web_app = web.Application(middlewares=[self._guard.middleware])
        self.web_app.on_response_prepare.append(self._guard.mark)
        self.web_app.add_routes(
            [
                web.get("/", self._panel),
                web.get("/api/status", self._status),
                web.get("/healthz", self._healthz),
                web.get("/whoami", self._whoami),
                web.get("/static/{name}", self._static),
            ]
        )

    async def start(self, listening: socket.socket) -> None:
        """Begin to answer."""
        # Every malformed request is an error with a traceback to aiohttp; our own failures are logged by the guard.
        logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
        self._runner = web.AppRunner(self.web_app, access_log=None, shutdown_timeout=CUT_SECONDS)
        await self._runner.setup()
        if self._runner.server is None:
            raise RuntimeError("expected a server after AppRunner.setup(), got None")
        self._connections = Connections(
            listening, self._runner.server, self._activity, self._boot, self._caller_seconds
        )
        self._connections.start()

    async def drain(self, seconds: float) -> int:
        """Answer what has arrived, welcome nothing new; return how many connections were cut after `seconds`."""
        self._guard.draining = True
        cut = await self._connections.drain(seconds)
        await self._runner.cleanup()
        return cut

    def look(self, caller: Caller) -> panel.Status:
        """Return what this Machine says of itself to `caller`."""
        activity = self._activity
        return panel.Status(
            version=__version__,
            machine=self._machine,
            you=caller,
            listeners=tuple({"name": it.name, "address": it.address, "reach": it.reach} for it in self._listeners),
            uptime_ms=round(self._boot.age_ms(), 1),
            boot_ms={phase: round(ms, 1) for phase, ms in self._boot.phases_ms.items()},
            requests={ingress.value: count for ingress, count in activity.requests.items()},
            hellos={ingress.value: count for ingress, count in activity.hellos.items()},
            refused=activity.refused,
            open={
                "admin_connections": activity.admin_connections,
                "hello_connections": activity.hello_connections,
            },
            draining=self._guard.draining,
        )

    async def _panel(self, request: web.Request) -> web.Response:
        """Show this Machine in the form the caller asked for."""
        form = negotiate(request.headers.get("Accept", ""))
        if form is Form.JSON:
            return await self._status(request)
        status = self.look(self._guard.caller(request))
        text = panel.as_html(status) if form is Form.HTML else panel.as_text(status)
        return _fresh(web.Response(text=text, content_type=form))

    async def _status(self, request: web.Request) -> web.Response:
        """Show this Machine as JSON, whatever was asked for."""
        return _fresh(json_line(panel.as_json(self.look(self._guard.caller(request)))))

    async def _healthz(self, _: web.Request) -> web.Response:
        """Say whether new work is welcome."""
        draining = self._guard.draining
        return web.Response(status=503 if draining else 200, text="draining\n" if draining else "ok\n")

    async def _whoami(self, request: web.Request) -> web.Response:
        """Echo the request, without its secrets, and who sent it."""
        caller = self._guard.caller(request)
        headers = [(name, redacted(name, value)) for name, value in request.headers.items()]
        line = f"{request.method} {request.raw_path} HTTP/{request.version.major}.{request.version.minor}"
        sender = {"peer": request.remote, "ingress": caller.ingress, "client": caller.client}
        if negotiate(request.headers.get("Accept", "")) is Form.JSON:
            return _fresh(json_line({"request": line, "headers": headers, **sender}))
        rows = [line, *(f"{name}: {value}" for name, value in headers), ""]
        rows += [*(f"{name}: {value}" for name, value in sender.items()), ""]
        return _fresh(web.Response(text="\n".join(rows)))

    async def _static(self, request: web.Request) -> web.Response:
        """Serve one of the panel's files."""
        name = request.match_info["name"]
        if name not in STATIC_FILES:
            raise web.HTTPNotFound
        return _fresh(web.Response(text=panel.static_file(name), content_type=STATIC_FILES[name]))


def redacted(name: str, value: str) -> str:
    """Return the value of a header, unless its name says it is a secret."""
    return "(redacted)" if any(word in name.lower() for word in SECRET_WORDS) else value


def _fresh(response: web.Response) -> web.Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["Vary"] = "Accept"
    return response
