"""Requests to the service itself, through all it puts around aiohttp: it sees what other parsers see, or refuses.

No input may put it to sleep without the token, be answered as a failure of the service, or keep the next caller from an
answer.
"""

from __future__ import annotations

import logging
import re
import socket
from contextlib import asynccontextmanager, suppress
from itertools import takewhile
from typing import TYPE_CHECKING

from aiohttp import web

from private_svc.departure import Departure
from private_svc.suspend import Suspender
from private_svc.web.admin import Admin
from tests.fuzz.loops import on_a_loop, send_all
from tests.fuzz.readings import Request
from tests.fuzz.smuggling import LONGEST, as_sent
from tests.fuzz.target import Broken, Target
from tests.private_svc.making import FLY, SeenAs, context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable

    from tests.fuzz.loops import AsyncCheck

_SECRET = "correct-horse-battery-staple"  # noqa: S105 - it opens nothing but this target
_TURNS = 30
_OF_THE_REQUEST = (b"501", b"505")  # the codes from 500 up that say what is wrong with a request
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3}) ")
_MARKED = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@asynccontextmanager
async def _serving() -> AsyncIterator[AsyncCheck]:
    logging.disable(logging.CRITICAL)
    made = context(SeenAs("fdaa:0:18::9"), fly=FLY, ADMIN_TOKEN=_SECRET)
    departure = Departure()
    admin = Admin(made, departure, Suspender(made.machine, "/nowhere/api"), None)
    requests: list[Request] = []

    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    port = listening.getsockname()[1]
    await admin.start(listening)
    server = admin._runners[-1].server  # noqa: SLF001 - to stand before everything that sees requests
    if server is None:
        raise RuntimeError("expected a server after start(), got None")
    answer = server.request_handler

    async def note(request: web.BaseRequest) -> web.StreamResponse:
        """Keep the request with what its handler leaves of the body."""
        method, target = request.method.upper().encode(), request.raw_path.encode("utf-8", "surrogateescape")
        number = len(requests)
        requests.append(Request(method, target, b"", whole=False))
        response = await answer(request)
        with suppress(web.RequestPayloadError):
            if request.path != "/api/sleep":  # its handler may have read some
                requests[number] = Request(method, target, await request.content.read())
        return response

    server.request_handler = note

    async def check(data: bytes) -> Hashable:
        data = data[:LONGEST]
        received = await send_all(port, data, _TURNS)
        seen = list(requests)
        after = await send_all(port, _MARKED, _TURNS)
        requests.clear()
        if not after.endswith(b"ok\n"):
            raise Broken(f"the next caller: {after!r}")
        if departure.decided:
            raise Broken(f"put to sleep by {data!r}")
        statuses = _STATUS.findall(received)
        if any(status.startswith(b"5") and status not in _OF_THE_REQUEST for status in statuses):
            raise Broken(f"answered {statuses}: {received[:300]!r}")
        as_sent(data, list(takewhile(lambda request: request.whole, seen)))
        return tuple(statuses[:3]), len(seen)

    try:
        yield check
    finally:
        await admin.drain(0)
        logging.disable(logging.NOTSET)


TARGET = Target("service_request", lambda: on_a_loop(_serving()), 20)
