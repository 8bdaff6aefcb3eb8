"""The least aiohttp service there can be, one route: `python bare_aiohttp.py PORT [log]`.

Its one application is also what the service mounts, for the row of a routed answer: `make`.
"""

import logging
import sys

from aiohttp import web


async def healthz(_: web.Request) -> web.Response:
    """Be well."""
    return web.Response(text="ok\n")


def make() -> web.Application:
    """Return the application."""
    web_app = web.Application()
    web_app.router.add_get("/healthz", healthz)
    return web_app


def main(port: int, *, log: bool) -> None:
    """Serve; say every request on stdout when asked to `log`."""
    if log:
        logging.basicConfig(stream=sys.stdout, level=logging.INFO)
    access_log = logging.getLogger("aiohttp.access") if log else None
    web.run_app(make(), host="127.0.0.1", port=port, access_log=access_log, print=None)


if __name__ == "__main__":
    main(int(sys.argv[1]), log="log" in sys.argv[2:])
