"""The admin side: its routes and what they answer, and how it starts and drains.

The panel is imported with the first request for it, so that no other answer waits for that.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from private_svc import logs
from private_svc.web import guard
from private_svc.web.actions import Actions
from private_svc.web.caller import caller_of, connection_of
from private_svc.web.connections import CALLER_SECONDS, Connections
from private_svc.web.front import Front, mark_panel
from private_svc.web.marks import mark_application
from private_svc.web.negotiate import Form, negotiate
from private_svc.web.replies import json_line

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable

    from private_svc.context import Context
    from private_svc.departure import Departure
    from private_svc.peers import Directory
    from private_svc.suspend import Suspender
    from private_svc.web.front import Marker
    from private_svc.web.mount import Mounted
    from private_svc.web.status import Status

SECRET_WORDS = ("authorization", "cookie", "token", "secret", "password", "api-key")
STATIC_FILES = {"panel.css": "text/css", "panel.js": "text/javascript", "icon.svg": "image/svg+xml"}
PROBE = "flycast-probe.pyz"
PROBE_FILE = Path(__file__).parents[2] / PROBE  # beside the packages
CUT_SECONDS = 0.1  # for a cancelled request to notice
CLEANUP_SECONDS = 1.0  # for an application to put its things away


class Runner(web.AppRunner):
    """Tells the applications that they shut down when draining begins, not when it has ended, and once."""

    _began = False

    async def shutdown(self) -> None:
        """Let every application end what would not end by itself, such as WebSockets."""
        if not self._began:
            self._began = True
            await super().shutdown()


class Admin:
    """The admin listener, answered."""

    def __init__(
        self,
        context: Context,
        departure: Departure,
        suspender: Suspender,
        directory: Directory | None,
        caller_seconds: float = CALLER_SECONDS,
    ) -> None:
        self._context = context
        self._suspender = suspender
        self._directory = directory
        self._caller_seconds = caller_seconds
        self.front = Front(context)
        self._runners: list[Runner] = []
        self.web_app = web.Application()
        actions = Actions(context, departure, suspender)
        config = context.config
        self._base = base = "/_" if config.app is not None and config.app_path == "/" else ""
        self.web_app.add_routes(
            [
                web.get(f"{base}/", self._panel),
                web.get(f"{base}/api/status", self._status),
                web.post(f"{base}/api/sleep", actions.sleep),
                web.get(f"{base}/whoami", self._whoami),
                web.get(f"{base}/static/{{name}}", self._static),
                web.get(f"{base}/{PROBE}", self._probe),
            ]
        )

    async def start(self, listening: socket.socket) -> None:
        """Begin to answer; raise `ConfigError` when APP or AUTH cannot be used."""
        # Every malformed request is an error with a traceback to aiohttp; the front logs our own failures.
        logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
        context, config = self._context, self._context.config
        login = None
        if config.auth is not None:
            from private_svc.web import auth  # noqa: PLC0415 - when it is first needed

            login = await auth.find(*config.auth)
        of_app = await self._start_app(config.app, login) if config.app is not None else None
        server = await self._run(self.web_app, mark_panel)
        self.front.serve(lambda _: True, guard.for_panel(context, login), server.request_handler, mark_panel)
        server.request_handler = self.front.answer
        if of_app is not None:
            server.request_factory = of_app.before(server.request_factory)
        self._connections = Connections("admin", listening, server, context, self._caller_seconds)
        self._connections.start()

    async def _start_app(self, app: tuple[str, str], login: guard.Login | None) -> Mounted:
        """Start your application, in front of the panel where both have a path."""
        from private_svc.seams import blamed  # noqa: PLC0415 - when it is first needed
        from private_svc.web import mount  # noqa: PLC0415 - when it is first needed

        path = self._context.config.app_path
        web_app = await mount.mount(*app, path)
        with blamed("APP", f"{':'.join(app)} did not start"):
            mounted = mount.Mounted(path, await self._run(web_app, mark_application))
        checks = guard.for_app(self._context, login)
        self.front.serve(mounted.covers, checks, mounted.server.request_handler, mark_application)
        if self._base:
            self.web_app.router.add_get(self._base, mount.to_the_slash)
        return mounted

    async def _run(self, web_app: web.Application, marker: Marker) -> web.Server:
        """Start an application; return what answers for it."""
        web_app.on_response_prepare.append(self.front.marking(marker))
        web_app.on_shutdown.append(self.front.websockets.close)
        runner = Runner(web_app, access_log=None, shutdown_timeout=CUT_SECONDS)
        self._runners.append(runner)
        await runner.setup()
        if runner.server is None:
            raise RuntimeError("expected a server after AppRunner.setup(), got None")
        return runner.server

    async def drain(self, seconds: float) -> int:
        """Answer what has arrived, welcome nothing new; return how many connections were cut after `seconds`."""
        self.front.draining = True
        shutdowns = [_within(seconds, "on_shutdown", runner.shutdown()) for runner in self._runners]
        _, cut = await asyncio.gather(asyncio.gather(*shutdowns), self._connections.drain(seconds))
        for runner in reversed(self._runners):  # the panel's first: it has the connections, and ends what is under way
            await _within(CLEANUP_SECONDS, "cleanup", runner.cleanup())
        return cut

    def current_status(self, request: web.Request) -> Status:
        """Return the status of this Machine for the sender of `request`."""
        from private_svc.web import status  # noqa: PLC0415 - when it is first needed

        connection, config = connection_of(request), self._context.config
        return status.current(
            self._context,
            caller_of(request),
            connection.visit if connection is not None else None,
            self._directory.known() if self._directory is not None else None,
            status.Sleep(config.idle_exit_seconds, config.idle_action, self.front.token.off, self._suspender.failure),
            draining=self.front.draining,
        )

    async def _panel(self, request: web.Request) -> web.Response:
        """Show this Machine in the form the caller asked for."""
        from private_svc.web import rendering  # noqa: PLC0415 - when it is first needed

        form = negotiate(request.headers.get("Accept", ""))
        if form is Form.JSON:
            return await self._status(request)
        render = rendering.as_html if form is Form.HTML else rendering.as_text
        # Not `request.host`: without a Host header it looks up this Machine's name and waits for DNS.
        host = request.headers.get("Host", "")
        url = f"{host if host and host.isascii() else 'HOST'}{request.path}"
        text = render(self.current_status(request), url)
        return _fresh(web.Response(text=text, content_type=form))

    async def _status(self, request: web.Request) -> web.Response:
        """Show this Machine as JSON, whatever was asked for."""
        from private_svc.web import status  # noqa: PLC0415 - when it is first needed

        return _fresh(json_line(status.as_json(self.current_status(request))))

    async def _whoami(self, request: web.Request) -> web.Response:
        """Echo the request, without its secrets, and who sent it."""
        caller = caller_of(request)
        headers = [(name, redacted(name, value)) for name, value in request.headers.items()]
        line = f"{request.method} {request.raw_path} HTTP/{request.version.major}.{request.version.minor}"
        sender = {"peer": request.remote, "ingress": caller.ingress, "client": caller.client}
        if negotiate(request.headers.get("Accept", "")) is Form.JSON:
            return _fresh(json_line({"request": line, "headers": headers, **sender}))
        rows = [line, *(f"{name}: {value}" for name, value in headers), ""]
        rows += [*(f"{name}: {value}" for name, value in sender.items()), ""]
        echoed = "\n".join(rows).encode(errors="surrogateescape")  # a header need not be UTF-8
        return _fresh(web.Response(body=echoed, content_type=Form.TEXT, charset="utf-8"))

    async def _static(self, request: web.Request) -> web.Response:
        """Serve one of the panel's files."""
        from private_svc.web import rendering  # noqa: PLC0415 - when it is first needed

        name = request.match_info["name"]
        if name not in STATIC_FILES:
            raise web.HTTPNotFound
        return _fresh(web.Response(text=rendering.static_file(name), content_type=STATIC_FILES[name]))

    async def _probe(self, _: web.Request) -> web.StreamResponse:
        """Hand out the probe, where the image was built with it."""
        path = PROBE_FILE
        if not path.is_file():
            raise web.HTTPNotFound(reason=f"{PROBE} is made by `just pyz`, and by the Dockerfile")
        return web.FileResponse(path, headers={"Content-Type": "application/zip", "Cache-Control": "no-store"})


async def _within(seconds: float, part: str, ending: Awaitable[None]) -> None:
    """Wait for one step of leaving, whose failure is logged: the process ends anyway."""
    try:
        async with asyncio.timeout(seconds):
            await ending
    except Exception:  # noqa: BLE001 - the edge: it is not our code, and we leave anyway
        logs.event("application failed while leaving", level=logging.ERROR, exc_info=True, part=part)


def redacted(name: str, value: str) -> str:
    """Return the value of a header, unless its name says it is a secret."""
    return "(redacted)" if any(word in name.lower() for word in SECRET_WORDS) else value


def _fresh(response: web.Response) -> web.Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["Vary"] = "Accept"
    return response
