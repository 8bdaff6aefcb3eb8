"""Whether this Machine is well, for checks that ask every few seconds for as long as it lives.

It is answered before anything is routed. What nearly every check gets differs from one to the next by its age and its
date alone, so it leaves in one piece: to make a response and its headers, and its bytes of those, would cost more than
all else that is done for it.
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
    """Tell whether `request` leaves nothing open about the head of its answer: all of HTTP/1.1 by default."""
    return (
        request.method == "GET"
        and request.version == HttpVersion11
        and request.keep_alive
        and "Upgrade" not in request.headers
    )


class Well(web.StreamResponse):
    """`200 ok` to plain requests, one object for all of them: it holds nothing of any."""

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
