"""A Machine that was suspended answers its first request as any other, and says that it was."""

from __future__ import annotations

import asyncio
import http.client
import os
import signal
import socket
import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import pytest

from private_svc.awake import STEP_SECONDS
from private_svc.web.connections import CALLER_SECONDS
from tests.private_svc.process import PATIENCE_SECONDS, service
from tests.private_svc.site import Site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.private_svc.process import Running

MONTH_SECONDS = 30 * 86400.0
REQUEST = b"GET /whoami HTTP/1.1\r\nHost: x\r\n\r\n"


class Slept:
    """Lets the loop's clock step forward, as it does for a process that was stopped: every timer is due at once."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._time = self._loop.time
        self._slept_s = 0.0
        self._loop.time = self._now  # type: ignore[method-assign]  # the only clock the loop has

    def _now(self) -> float:
        return self._time() + self._slept_s

    async def through(self, seconds: float) -> None:
        """Sleep, and let whatever is due then happen."""
        self._slept_s += seconds
        for _ in range(10):
            await asyncio.sleep(0)


class Caller:
    """A caller whose patience is measured on a clock that nobody moves."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)

    def send(self) -> None:
        """Send a request."""
        self._socket.sendall(REQUEST)

    def _read(self) -> int:
        response = http.client.HTTPResponse(self._socket)
        response.begin()
        response.read()
        return response.status

    async def status(self) -> int:
        """Return the status of the next answer."""
        return await asyncio.to_thread(self._read)

    async def end(self) -> bytes:
        """Return what comes before the connection is closed."""
        return await asyncio.to_thread(self._socket.recv, 1000)

    def close(self) -> None:
        """Go."""
        self._socket.close()


@asynccontextmanager
async def kept_alive() -> AsyncIterator[tuple[Site, Slept, Caller]]:
    """Run a site with a connection that has had one answer."""
    slept = Slept()
    here = Site("::1", CALLER_SECONDS, None, {})
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    caller = Caller(listening.getsockname()[1])
    await here.admin.start(listening)
    caller.send()
    assert await caller.status() == 200
    yield here, slept, caller
    caller.close()
    await here.admin.drain(0)


@pytest.mark.parametrize("seconds", [CALLER_SECONDS + 2, 4000.0, MONTH_SECONDS])
async def test_a_connection_that_was_open_before_is_open_for_a_request_that_comes_after(seconds: float) -> None:
    async with kept_alive() as (here, slept, caller):
        await slept.through(seconds)
        assert len(here.activity.visits) == 1, "nobody was disconnected for a silence that was ours"
        caller.send()
        assert await caller.status() == 200


@pytest.mark.parametrize("seconds", [CALLER_SECONDS + 2, 4000.0, MONTH_SECONDS])
async def test_a_request_that_came_while_it_slept_is_answered(seconds: float) -> None:
    async with kept_alive() as (_, slept, caller):
        caller.send()  # it is in the kernel's queue, and the loop has not looked yet
        await slept.through(seconds)
        assert await caller.status() == 200


async def test_after_a_resume_a_silent_caller_has_its_usual_time_and_no_more() -> None:
    async with kept_alive() as (here, slept, caller):
        await slept.through(4000.0)
        await slept.through(CALLER_SECONDS - 1)
        assert here.activity.visits
        await slept.through(1.0)
        assert await caller.end() == b""


@contextmanager
def stopped(running: Running) -> Iterator[None]:
    """Stop a process; let it go on when more time has passed than a busy loop would need."""
    pid = running.process.pid
    running.signal(signal.SIGSTOP)
    since_s = time.monotonic()
    os.waitid(os.P_PID, pid, os.WSTOPPED)
    yield
    time.sleep(max(0.0, since_s + STEP_SECONDS + 1.5 - time.monotonic()))  # what is tested is that time passes
    running.signal(signal.SIGCONT)


def asked(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    """Ask; read the whole answer."""
    connection.request("GET", "/whoami")
    response = connection.getresponse()
    response.read()
    return response


def resumed_ms(response: http.client.HTTPResponse) -> float | None:
    """Return how long ago the Machine resumed, by `Server-Timing`."""
    _, said, value = str(response.getheader("Server-Timing")).partition("resumed;dur=")
    return float(value) if said else None


def test_a_process_that_was_stopped_answers_its_first_requests_says_so_and_does_not_leave_at_once() -> None:
    with service(IDLE_EXIT_SECONDS="5") as running:
        admin = running.port("admin")
        before = http.client.HTTPConnection("127.0.0.1", admin, timeout=PATIENCE_SECONDS)
        assert resumed_ms(asked(before)) is None
        silent = socket.create_connection(("127.0.0.1", admin), timeout=PATIENCE_SECONDS)
        with stopped(running):
            before.request("GET", "/whoami")
            meanwhile = http.client.HTTPConnection("127.0.0.1", admin, timeout=PATIENCE_SECONDS)
            meanwhile.request("GET", "/whoami")
            greeted = socket.create_connection(("127.0.0.1", running.port("hello")), timeout=PATIENCE_SECONDS)
        for connection in (before, meanwhile):
            response = connection.getresponse()
            assert response.status == 200
            since_ms = resumed_ms(response)
            assert since_ms is not None, response.getheader("Server-Timing")
            assert since_ms < STEP_SECONDS * 1000
            response.read()
        assert greeted.recv(100) == b"hello\n"
        assert running.event("resumed")["suspended_seconds"] > STEP_SECONDS
        silent.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert silent.recv(1000).startswith(b"HTTP/1.1 200"), (
            "it was idle for longer than 5 s only while it was stopped"
        )
        for opened in (before, meanwhile, greeted, silent):
            opened.close()
        running.signal(signal.SIGTERM)
        assert running.event("draining")["reason"] == "SIGTERM"
        assert running.ended() == 0
