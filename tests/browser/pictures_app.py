"""An application that somebody waits for, so that the pictures show a Machine with work."""

from __future__ import annotations

import asyncio

from aiohttp import web


async def never_done(_: web.Request) -> web.Response:
    await asyncio.get_running_loop().create_future()
    raise AssertionError("expected to be cancelled")


async def live(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.receive()
    return socket


def make() -> web.Application:
    web_app = web.Application()
    web_app.add_routes([web.get("/reports/{name}", never_done), web.get("/live", live)])
    return web_app
