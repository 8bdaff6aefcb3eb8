"""The app under the soak, mounted at /app/ of the service: every answer tells whose it is and which run gave it."""

from __future__ import annotations

import asyncio
import os
import secrets

from aiohttp import WSMsgType, web

BOOT = f"{os.getpid()}-{secrets.token_hex(4)}"
MOST_BYTES = 4 * 1024 * 1024


def make() -> web.Application:
    """Return the application."""
    web_app = web.Application(client_max_size=MOST_BYTES)
    web_app.add_routes(
        [web.get("/echo/{id}", tell), web.post("/echo/{id}", echo), web.get("/socket/{id}", talk)],
    )
    return web_app


async def tell(request: web.Request) -> web.Response:
    """Answer with the id, after `?ms=` milliseconds."""
    await asyncio.sleep(int(request.query.get("ms", "0")) / 1000)
    return web.Response(text=request.match_info["id"], headers=_of(request))


async def echo(request: web.Request) -> web.Response:
    """Answer with the body that came."""
    return web.Response(body=await request.read(), headers=_of(request))


async def talk(request: web.Request) -> web.WebSocketResponse:
    """Say every text message back."""
    socket = web.WebSocketResponse()
    socket.headers.update(_of(request))
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
    return socket


def _of(request: web.Request) -> dict[str, str]:
    return {"X-Soak-Id": request.match_info["id"], "X-Soak-Boot": BOOT}
