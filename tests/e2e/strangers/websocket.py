"""A WebSocket echo with aiohttp, and the client for it.

usage: websocket.py serve PORT | websocket.py talk URL
"""

from __future__ import annotations

import asyncio
import sys

import aiohttp
from aiohttp import web


async def echo(request: web.Request) -> web.WebSocketResponse:
    """Answer every message with itself until the client closes."""
    answer = web.WebSocketResponse()
    await answer.prepare(request)
    async for message in answer:
        await answer.send_str(message.data)
    return answer


async def talk(url: str) -> None:
    """Say hello, print what comes back, then wait for the end and print its close code."""
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as connection:
        await connection.send_str("hello")
        print(await connection.receive_str(timeout=30), flush=True)
        end = await connection.receive(timeout=30)
        print(end.type.name, end.data, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        web_app = web.Application()
        web_app.router.add_get("/", echo)
        web.run_app(web_app, host="0.0.0.0", port=int(sys.argv[2]), print=None)
    else:
        asyncio.run(talk(sys.argv[2]))
