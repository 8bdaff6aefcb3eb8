"""The admin listener in this process, with callers that arrive the way a test says."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING

from aiohttp import web

from private_svc.departure import Departure
from private_svc.suspend import Suspender
from private_svc.web.admin import Admin
from tests.private_svc.making import FLY, PLATFORM, SeenAs, context
from tests.private_svc.process import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from private_svc.peers import Directory

PROXY = "::ffff:172.16.3.4"


class Site:
    """An admin listener whose callers all seem to come from one peer."""

    def __init__(
        self,
        peer: str,
        caller_seconds: float,
        directory: Directory | None,
        settings: dict[str, str],
        api: str = "/nowhere/api",
        fly: Mapping[str, str] = MappingProxyType(FLY),
    ) -> None:
        self.context = context(SeenAs(peer, settings.get("PLATFORM_NETWORKS", PLATFORM)), fly=fly, **settings)
        self.activity = self.context.activity
        self.departure = Departure()
        self.suspender = Suspender(self.context.machine, api)
        self.admin = Admin(self.context, self.departure, self.suspender, directory, caller_seconds)
        self.entered = asyncio.Event()
        self.release = asyncio.Event()
        self.ended = asyncio.Event()
        self.writers: list[asyncio.StreamWriter] = []

    async def held(self, request: web.Request) -> web.Response:
        self.held_request = request
        self.entered.set()
        await self.release.wait()
        return web.Response(text="done\n")

    async def broken(self, _: web.Request) -> web.Response:
        raise ValueError("the secret of the handler")

    async def moved(self, _: web.Request) -> web.Response:
        raise web.HTTPFound("/elsewhere")

    async def flood(self, request: web.Request) -> web.StreamResponse:
        self.entered.set()
        response = web.StreamResponse()
        try:
            await response.prepare(request)
            await response.write(bytes(32 * 1024 * 1024))
        finally:
            self.ended.set()
        return response

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        handlers = {"held": self.held, "broken": self.broken, "moved": self.moved, "flood": self.flood}
        self.admin.web_app.add_routes([web.get(f"/{name}", handler) for name, handler in handlers.items()])
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)
        self.port = listening.getsockname()[1]
        await self.admin.start(listening)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                yield
        finally:
            for writer in self.writers:
                writer.close()
            await self.admin.drain(0)

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        return reader, writer

    async def ask(self, path: str, *headers: str, method: str = "GET") -> Answer:
        reader, writer = await self.open()
        lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""]
        writer.write("\r\n".join(lines).encode())
        return Answer(await reader.read())

    async def send(self, sent: bytes) -> bytes:
        """Send whatever it is; return all that comes until the connection ends."""
        reader, writer = await self.open()
        writer.write(sent)
        return await reader.read()


async def until(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds; the timeout of the site bounds it."""
    while not condition():  # noqa: ASYNC110 - the accounts of the service have no event for each change
        await asyncio.sleep(0)


class Answer:
    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        self.status = int(status.split()[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        self.text = self.body.decode()


@asynccontextmanager
async def site(
    peer: str = "::1",
    caller_seconds: float = PATIENCE_SECONDS,
    directory: Directory | None = None,
    api: str = "/nowhere/api",
    fly: Mapping[str, str] = MappingProxyType(FLY),
    **settings: str,
) -> AsyncIterator[Site]:
    made = Site(peer, caller_seconds, directory, settings, api, fly)
    async with made.serving():
        yield made
