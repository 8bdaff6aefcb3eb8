"""An application whose requests end when a test says so, and that fails in the ways applications fail."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LARGE = 32 * 1024 * 1024
SPARSE = web.AppKey("sparse", Path)
RELEASE = web.AppKey("release", asyncio.Event)


def make() -> web.Application:
    """Return it; for APP."""
    web_app = web.Application()
    web_app[RELEASE] = asyncio.Event()
    web_app.cleanup_ctx.append(a_large_file)
    web_app.add_routes(
        [
            web.get("/held", held),
            web.get("/begun", begun),
            web.post("/release", release),
            web.post("/read", read),
            web.get("/large", large),
            web.get("/file", file),
            web.get("/half", half),
            web.get("/refused", refused),
            web.get("/signed-in", signed_in),
        ]
    )
    return web_app


async def held(request: web.Request) -> web.Response:
    """Answer once released."""
    await request.app[RELEASE].wait()
    return web.Response(text="done\n")


async def begun(request: web.Request) -> web.StreamResponse:
    """Begin to answer, and end once released."""
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"begun\n")
    await request.app[RELEASE].wait()
    await response.write_eof(b"done\n")
    return response


async def release(request: web.Request) -> web.Response:
    """Let all that are held go on, once the body is here."""
    await request.read()
    request.app[RELEASE].set()
    return web.Response(text="released\n")


async def read(request: web.Request) -> web.Response:
    """Say how much came."""
    return web.Response(text=f"{len(await request.read())}\n")


async def large(_: web.Request) -> web.Response:
    """Answer with more than any kernel buffers."""
    return web.Response(body=bytes(LARGE))


async def file(request: web.Request) -> web.FileResponse:
    """Answer with as much, through sendfile."""
    return web.FileResponse(request.app[SPARSE])


async def a_large_file(web_app: web.Application) -> AsyncIterator[None]:
    """Keep one while the application lives; it takes no room."""
    with tempfile.NamedTemporaryFile() as sparse:
        sparse.truncate(LARGE)
        web_app[SPARSE] = Path(sparse.name)
        yield


async def half(request: web.Request) -> web.StreamResponse:
    """Fail in the middle of an answer."""
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"half an answer")
    raise ValueError("the other half")


async def refused(_: web.Request) -> web.Response:
    """Refuse in words of its own."""
    raise web.HTTPBadRequest(text="<p>a name, please</p>", content_type="text/html")


async def signed_in(_: web.Request) -> web.Response:
    """Redirect and set a cookie."""
    found = web.HTTPFound("/app/")
    found.set_cookie("session", "42", httponly=True)
    raise found
