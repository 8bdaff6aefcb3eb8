"""The least aiohttp service there can be, one route: `python bare_aiohttp.py PORT`."""

import sys

from aiohttp import web


async def healthz(_: web.Request) -> web.Response:
    """Be well."""
    return web.Response(text="ok\n")


if __name__ == "__main__":
    web_app = web.Application()
    web_app.router.add_get("/healthz", healthz)
    web.run_app(web_app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
