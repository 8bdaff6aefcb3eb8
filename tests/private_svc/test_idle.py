"""How long nobody has wanted anything, what counts as wanting, and a process that leaves by itself."""

from __future__ import annotations

import asyncio
import http.client
import socket
import time
from itertools import product
from typing import TYPE_CHECKING

import pytest

from private_svc.activity import Activity
from private_svc.awake import Awake
from private_svc.boot import clock
from private_svc.departure import idle_seconds
from private_svc.ingress import Caller, Ingress
from private_svc.raw import RawPort
from private_svc.web.scrape import Scrape
from private_svc.words import HELLO
from tests.private_svc.making import SeenAs, context
from tests.private_svc.process import PATIENCE_SECONDS, service
from tests.private_svc.site import PROXY, site

if TYPE_CHECKING:
    from pathlib import Path

HOLDING_APP = """
import asyncio
from aiohttp import web
release = asyncio.Event()
async def held(request):
    await release.wait()
    return web.Response(text="held until the end\\n")
async def go_on(request):
    release.set()
    return web.Response()
def make():
    web_app = web.Application()
    web_app.add_routes([web.get("/held", held), web.get("/go-on", go_on)])
    return web_app
"""
FLYCAST = "Fly-Client-IP: fdaa:0:18::9"
PUBLIC = "Fly-Client-IP: 203.0.113.7"


@pytest.mark.parametrize(("serving_s", "work_s", "resumed"), [*product((100.0, 150.0, 250.0), repeat=3)])
def test_idle_time_begins_anew_with_serving_with_work_and_with_a_resume(
    serving_s: float, work_s: float, resumed: float
) -> None:
    now_s = 0.0
    awake = Awake(lambda: now_s, lambda: 0.0)
    awake.read_clocks()
    now_s = resumed
    awake.read_clocks()
    now_s = resumed + 1.0  # looks go on
    activity = Activity()
    activity.last_work_s = work_s
    assert idle_seconds(200.0, serving_s, activity, awake) == max(0.0, 200.0 - max(serving_s, work_s, resumed))


def test_nobody_is_idle_while_somebody_waits_for_work() -> None:
    activity, awake = Activity(), Awake()
    visit = activity.arrive("admin", Caller(Ingress.FLYCAST, "fdaa::1"))
    activity.begin(visit, "GET /app/report", is_work=True)
    assert idle_seconds(clock() + 3600, 0.0, activity, awake) == 0.0
    activity.done(visit)
    assert idle_seconds(activity.last_work_s + 3600, 0.0, activity, awake) == pytest.approx(3600.0)


@pytest.mark.parametrize(
    ("peer", "path", "headers", "is_work"),
    [
        ("fdaa:0:18::9", "/whoami", (), True),
        ("fdaa:0:18::9", "/nope", (), True),
        ("::1", "/whoami", (), True),
        (PROXY, "/whoami", (FLYCAST,), True),
        ("fdaa:0:18::9", "/healthz", (), False),
        (PROXY, "/healthz", (FLYCAST,), False),
        (PROXY, "/healthz", (), False),
        (PROXY, "/whoami", (), False),
        (PROXY, "/whoami", (PUBLIC,), False),
    ],
)
async def test_only_real_work_ends_the_idle_time(peer: str, path: str, headers: tuple[str, ...], is_work: bool) -> None:
    async with site(peer) as here:
        here.activity.last_work_s = 0.0
        await here.ask(path, *headers)
        await here.activity.quiet.wait()
        assert (here.activity.last_work_s > 0.0) is is_work
        assert here.activity.working == 0


async def test_a_connection_that_asks_nothing_is_not_work() -> None:
    async with site() as here:
        reader, writer = await here.open()
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"ok\n")
        here.activity.last_work_s = 0.0
        _, silent = await here.open()
        silent.write(b"GET /who")
        await here.ask("/healthz")
        assert here.activity.working == 0
        assert here.activity.last_work_s == 0.0


async def test_a_request_in_flight_is_work_until_its_answer_is_out() -> None:
    async with site() as here:
        asked = asyncio.create_task(here.ask("/held"))
        await here.entered.wait()
        assert here.activity.working == 1
        here.release.set()
        await asked
        await here.activity.quiet.wait()
        assert here.activity.working == 0


@pytest.mark.parametrize(("peer", "is_work"), [("fdaa:0:18::9", True), ("::1", True), (PROXY, False)])
async def test_a_hello_is_work_unless_it_may_be_a_health_check(peer: str, is_work: bool) -> None:
    here = context(SeenAs(peer))
    here.activity.last_work_s = 0.0
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        raw = RawPort(asyncio.get_running_loop(), listening, here, HELLO)
        raw.start()
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        assert await reader.read() == b"hello\n"
        writer.close()
        assert await raw.drain(PATIENCE_SECONDS) == 0
    assert (here.activity.last_work_s > 0.0) is is_work


async def test_a_scrape_is_not_work() -> None:
    here = context(SeenAs("fdaa:0:18::9"))
    here.activity.last_work_s = 0.0
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        scrape = Scrape(here)
        scrape.start(listening)
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()
        await scrape.stop()
    assert here.activity.last_work_s == 0.0


def test_an_idle_process_drains_and_leaves_with_status_0() -> None:
    with service(IDLE_EXIT_SECONDS="1") as running:
        with socket.create_connection(("127.0.0.1", running.port("admin")), timeout=PATIENCE_SECONDS) as keeps_alive:
            keeps_alive.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert keeps_alive.recv(1000).startswith(b"HTTP/1.1 200")
            reason = running.event("draining")["reason"]
            assert reason.startswith("idle for "), reason
            while keeps_alive.recv(1000):
                pass
        running.event("leaving", cut_connections=0, cut_hellos=0)
        assert running.ended() == 0
        assert running.errors() == ""


def test_a_process_does_not_leave_while_a_request_is_held_and_leaves_after_it(tmp_path: Path) -> None:
    (tmp_path / "holding.py").write_text(HOLDING_APP)
    with service(IDLE_EXIT_SECONDS="1", APP="holding:make", PYTHONPATH=str(tmp_path)) as running:
        held, other = (
            http.client.HTTPConnection("127.0.0.1", running.port("admin"), timeout=PATIENCE_SECONDS) for _ in range(2)
        )
        held.request("GET", "/app/held")
        until_s = time.monotonic() + 2.5  # several looks of the idle watch
        while time.monotonic() < until_s:
            other.request("GET", "/healthz")  # which is no work, and answers 503 from a process that leaves
            response = other.getresponse()
            assert (response.status, response.read()) == (200, b"ok\n"), running.process.poll()
            time.sleep(0.1)
        other.request("GET", "/app/go-on")
        other.getresponse().read()
        assert held.getresponse().read() == b"held until the end\n"
        assert running.event("draining")["reason"].startswith("idle for ")
        assert running.ended() == 0
        held.close()
        other.close()
