"""Whether this Machine is well, for checks that ask every few seconds for as long as it lives.

It is answered before anything is routed. Nearly every check gets the same answer but for `Server-Timing` and `Date`, so
the answer is formatted once and sent in one write: to build a response each time would cost more than all the rest.
"""

from __future__ import annotations

from email.utils import formatdate
from time import time
from typing import TYPE_CHECKING

from aiohttp import HttpVersion11, web

from private_svc.web.marks import TIMING, fixed, timing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.abc import AbstractStreamWriter

    from private_svc.context import Context

PATH = "/healthz"
METHODS = ("GET", "HEAD")
OK = "ok\n"
DRAINING = "draining\n"


def is_plain(request: web.BaseRequest) -> bool:
    """Tell whether `request` gets the head that is formatted already: GET, HTTP/1.1, keep-alive, no Upgrade."""
    return (
        request.method == "GET"
        and request.version == HttpVersion11
        and request.keep_alive
        and "Upgrade" not in request.headers
    )


class Healthy(web.StreamResponse):
    """`200 ok`, one response for all plain requests; it keeps no state of any."""

    keep_alive = True

    def __init__(self, context: Context, headers: Mapping[str, str]) -> None:
        super().__init__()
        self._context = context
        own = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(OK))}
        lines = {**fixed(context.machine.machine_id), **headers, **own}.items()
        self._head = "\r\n".join(["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in lines), "Date: "])
        self._second = 0
        self._date = ""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Send all of it."""
        await request.writer.write_eof(self._whole())
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Do no more: `prepare` did."""

    def _whole(self) -> bytes:
        now = int(time())
        if now != self._second:
            self._second, self._date = now, formatdate(now, usegmt=True)
        return f"{self._head}{self._date}\r\n{TIMING}: {timing(self._context)}\r\n\r\n{OK}".encode()
