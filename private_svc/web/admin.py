"""The admin side: its routes and what they answer, and how it starts and drains."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from private_svc.peers import Directory
from private_svc.web import mount, panel, status
from private_svc.web.actions import Actions
from private_svc.web.connections import CALLER_SECONDS, Connections
from private_svc.web.guard import Guard, connection_of, json_line
from private_svc.web.negotiate import Form, negotiate

if TYPE_CHECKING:
    import socket

    from private_svc.context import Context
    from private_svc.departure import Departure
    from private_svc.suspend import Suspender

SECRET_WORDS = ("authorization", "cookie", "token", "secret", "password", "api-key")
STATIC_FILES = {"panel.css": "text/css", "panel.js": "text/javascript", "icon.svg": "image/svg+xml"}
PROBE = "flycast-probe.pyz"
PROBE_FILE = Path(__file__).parents[2] / PROBE  # beside the packages
CUT_SECONDS = 0.1  # for a cancelled request to notice


class Runner(web.AppRunner):
    """Tells the applications that they shut down when draining begins, not when it has ended, and once."""

    _told = False

    async def shutdown(self) -> None:
        """Let every application end what would not end by itself, such as WebSockets."""
        if not self._told:
            self._told = True
            await super().shutdown()


class Admin:
    """The admin listener, answered."""

    def __init__(
        self,
        context: Context,
        departure: Departure,
        suspender: Suspender,
        caller_seconds: float = CALLER_SECONDS,
    ) -> None:
        self._context = context
        self._suspender = suspender
        self._directory = Directory(context.machine.app_name) if context.machine.app_name else None
        self._caller_seconds = caller_seconds
        self._guard = Guard(context)
        self._actions = Actions(context, self._guard, departure, suspender)
        self.web_app = web.Application(middlewares=[self._guard.middleware])
        self.web_app.on_response_prepare.append(self._guard.mark)
        self.web_app.add_routes(
            [
                web.get("/", self._panel),
                web.get("/api/status", self._status),
                web.post("/api/sleep", self._actions.sleep),
                web.get("/healthz", self._healthz),
                web.get("/whoami", self._whoami),
                web.get("/static/{name}", self._static),
                web.get(f"/{PROBE}", self._probe),
            ]
        )

    async def start(self, listening: socket.socket) -> None:
        """Begin to answer; raise `ConfigError` when APP cannot be used."""
        # Every malformed request is an error with a traceback to aiohttp; our own failures are logged by the guard.
        logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
        await self._mount()
        self._runner = Runner(self.web_app, access_log=None, shutdown_timeout=CUT_SECONDS)
        await self._runner.setup()
        if self._runner.server is None:
            raise RuntimeError("expected a server after AppRunner.setup(), got None")
        self._connections = Connections("admin", listening, self._runner.server, self._context, self._caller_seconds)
        self._connections.start()

    async def drain(self, seconds: float) -> int:
        """Answer what has arrived, welcome nothing new; return how many connections were cut after `seconds`."""
        self._guard.draining = True
        _, cut = await asyncio.gather(self._runner.shutdown(), self._connections.drain(seconds))
        await self._runner.cleanup()
        return cut

    async def _mount(self) -> None:
        if self._context.config.app is None:
            return
        module_name, factory_name = self._context.config.app
        factory = await asyncio.get_running_loop().run_in_executor(None, mount.find, module_name, factory_name)
        self.web_app.add_subapp(mount.PREFIX, await mount.make(f"{module_name}:{factory_name}", factory))

    def look(self, request: web.Request) -> status.Status:
        """Return what this Machine says of itself to who sent `request`."""
        connection, config = connection_of(request), self._context.config
        return status.look(
            self._context,
            self._guard.caller(request),
            connection.visit if connection is not None else None,
            self._directory.known() if self._directory is not None else None,
            status.Sleep(config.idle_exit_seconds, config.idle_action, self._actions.off, self._suspender.failure),
            draining=self._guard.draining,
        )

    async def _panel(self, request: web.Request) -> web.Response:
        """Show this Machine in the form the caller asked for."""
        form = negotiate(request.headers.get("Accept", ""))
        if form is Form.JSON:
            return await self._status(request)
        seen = self.look(request)
        text = panel.as_html(seen) if form is Form.HTML else panel.as_text(seen)
        return _fresh(web.Response(text=text, content_type=form))

    async def _status(self, request: web.Request) -> web.Response:
        """Show this Machine as JSON, whatever was asked for."""
        return _fresh(json_line(status.as_json(self.look(request))))

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

    async def _probe(self, _: web.Request) -> web.StreamResponse:
        """Hand out the probe, where the image was built with it."""
        path = PROBE_FILE
        if not path.is_file():
            raise web.HTTPNotFound(reason=f"{PROBE} is made by `just pyz`, and by the Dockerfile")
        return web.FileResponse(path, headers={"Content-Type": "application/zip", "Cache-Control": "no-store"})


def redacted(name: str, value: str) -> str:
    """Return the value of a header, unless its name says it is a secret."""
    return "(redacted)" if any(word in name.lower() for word in SECRET_WORDS) else value


def _fresh(response: web.Response) -> web.Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["Vary"] = "Accept"
    return response
