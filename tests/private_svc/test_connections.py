"""Callers who let us wait, callers who leave, and applications that fail, each on a real connection."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from private_svc.ingress import Ingress
from private_svc.web.caller import connection_of
from private_svc.web.connections import Connections
from tests.private_svc.held_app import LARGE
from tests.private_svc.making import context
from tests.private_svc.process import PATIENCE_SECONDS
from tests.private_svc.site import PROXY, Answer, site, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.private_svc.site import Site

APP = "tests.private_svc.held_app:make"
STEADY_SECONDS = 0.3  # between two looks: long enough for a busy machine, short beside a large answer


@asynccontextmanager
async def asking(here: Site, sent: bytes) -> AsyncIterator[socket.socket]:
    """Send something on a connection that the kernel buffers next to nothing for."""
    loop = asyncio.get_running_loop()
    with socket.socket() as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        caller.setblocking(False)
        await loop.sock_connect(caller, ("127.0.0.1", here.port))
        await loop.sock_sendall(caller, sent)
        yield caller


async def ended(caller: socket.socket) -> bytes:
    """Read to the end, which may be a reset."""
    received = b""
    try:
        while chunk := await asyncio.get_running_loop().sock_recv(caller, 4096):
            received += chunk
    except ConnectionError:
        pass
    return received


@pytest.mark.parametrize("path", ["large", "file"])
async def test_a_caller_who_takes_nothing_is_disconnected_however_the_answer_is_sent(path: str) -> None:
    async with (
        site(APP=APP, caller_seconds=0.05) as here,
        asking(here, f"GET /app/{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()) as caller,
    ):
        await until(lambda: here.activity.working)
        await until(lambda: not here.activity.visits)
        assert not here.activity.working
        assert len(await ended(caller)) < LARGE
        assert (await here.ask("/app/release", method="POST")).text == "released\n", "the next one is served"


@pytest.mark.parametrize("path", ["large", "file"])
async def test_a_caller_who_takes_a_little_at_a_time_gets_all_of_it(path: str) -> None:
    loop = asyncio.get_running_loop()
    async with (
        site(APP=APP, caller_seconds=STEADY_SECONDS) as here,
        asking(here, f"GET /app/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()) as caller,
    ):
        began_s, received = loop.time(), 0
        while loop.time() < began_s + 4 * STEADY_SECONDS:
            received += len(await loop.sock_recv(caller, 1024))
        while chunk := await loop.sock_recv(caller, 1024 * 1024):
            received += len(chunk)
        assert received > LARGE


async def test_a_caller_who_sends_its_headers_a_byte_at_a_time_has_no_longer_for_it_than_another() -> None:
    loop = asyncio.get_running_loop()
    async with (
        site(caller_seconds=0.2) as here,
        asking(here, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ") as caller,
    ):
        with suppress(ConnectionError):  # until the kernel tells that the other side is closed
            while True:
                await loop.sock_sendall(caller, b"x")
                await asyncio.sleep(0.01)  # what is tested is that the time between bytes does not matter
        assert (await ended(caller)).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("body", [b"", b"ab"])
async def test_a_caller_who_does_not_send_the_body_it_announced_is_disconnected(body: bytes) -> None:
    async with (
        site(APP=APP, caller_seconds=0.05) as here,
        asking(here, b"POST /app/read HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n" + body) as caller,
    ):
        await until(lambda: here.activity.working)
        await ended(caller)
        await until(lambda: not here.activity.visits)
        assert not here.activity.working


async def test_a_caller_who_sends_a_body_a_byte_at_a_time_is_answered() -> None:
    loop = asyncio.get_running_loop()
    async with (
        site(APP=APP, caller_seconds=STEADY_SECONDS) as here,
        asking(
            here, b"POST /app/read HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 900000\r\n\r\n"
        ) as caller,
    ):
        began_s, sent = loop.time(), 0
        while loop.time() < began_s + 4 * STEADY_SECONDS and sent < 800_000:
            await loop.sock_sendall(caller, b"x")
            await asyncio.sleep(0)
            sent += 1
        await loop.sock_sendall(caller, b"x" * (900_000 - sent))
        assert Answer(await ended(caller)).text == "900000\n"


async def test_a_request_that_takes_its_time_to_be_answered_is_not_the_callers_fault() -> None:
    async with (
        site(APP=APP, caller_seconds=0.05) as here,
        asking(here, b"GET /app/held HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") as caller,
    ):
        for _ in range(3):  # each as long as a caller may be silent
            reader, _ = await here.open()
            assert await reader.read() == b""
        assert (await here.ask("/app/release", method="POST")).status == 200
        assert Answer(await ended(caller)).text == "done\n"


async def test_a_request_whose_caller_has_left_is_work_until_its_handler_ends() -> None:
    async with site(APP=APP) as here:
        async with asking(here, b"GET /app/held HTTP/1.1\r\nHost: x\r\n\r\n"):
            await until(lambda: here.activity.working)
        for _ in range(20):  # each a chance to forget it
            assert (await here.ask("/healthz")).status == 200
        assert here.activity.working == 1
        assert (await here.ask("/app/release", method="POST")).status == 200
        await until(lambda: not here.activity.visits)
        assert here.activity.quiet.is_set()


async def test_a_drain_waits_for_a_request_whose_caller_has_left() -> None:
    async with site(APP=APP) as here:
        async with asking(here, b"GET /app/held HTTP/1.1\r\nHost: x\r\n\r\n"):
            await until(lambda: here.activity.working)
        reader, writer = await here.open()
        writer.write(b"POST /app/release HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
        await until(lambda: here.activity.working == 2)
        draining = asyncio.create_task(here.admin.drain(PATIENCE_SECONDS))
        await asyncio.sleep(0)
        assert not draining.done()
        writer.write(b"x")
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        assert await draining == 0, "the handler of the caller that left was not cut"
        assert not here.activity.working


async def test_a_request_that_comes_just_before_the_deadline_is_answered_although_the_loop_is_busy_then() -> None:
    async with site(caller_seconds=0.2) as here:
        reader, writer = await here.open()
        await until(lambda: here.activity.visits)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        time.sleep(0.3)  # noqa: ASYNC251 - the loop is busy while the deadline passes
        assert Answer(await reader.read()).text == "ok\n"


async def test_a_drain_does_not_wait_for_a_caller_that_has_just_come_and_says_nothing() -> None:
    async with site() as here:
        reader, _ = await here.open()
        assert await here.admin.drain(2 * PATIENCE_SECONDS) == 0
        assert await reader.read() == b""


async def test_a_drain_lets_a_head_that_has_begun_be_finished() -> None:
    async with site() as here:
        idle, _ = await here.open()
        reader, writer = await here.open()
        writer.write(b"GET /whoami HTTP/1.1\r\nHost: x\r\n")
        await until(lambda: len(here.activity.visits) == 2)
        draining = asyncio.create_task(here.admin.drain(2 * PATIENCE_SECONDS))
        assert await idle.read() == b""  # the grace for those that say nothing is over
        writer.write(b"\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        assert await draining == 0


async def test_a_drain_ends_with_the_last_answer_although_its_caller_keeps_the_connection_open() -> None:
    """The answer had begun before the drain, so it could not say that the connection closes."""
    async with site(APP=APP) as here:
        reader, writer = await here.open()
        writer.write(b"GET /app/begun HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"begun\n")
        asking, second = await here.open()
        second.write(b"POST /app/release HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
        await until(lambda: here.activity.working == 2)
        draining = asyncio.create_task(here.admin.drain(2 * PATIENCE_SECONDS))  # longer than this test may take
        await asyncio.sleep(0)
        second.write(b"x")
        assert b"done\n" in await reader.readuntil(b"0\r\n\r\n")
        assert await draining == 0
        assert (await asking.read()).endswith(b"released\n")


async def test_a_caller_who_asks_and_leaves_at_once_leaves_no_trace() -> None:
    async with site(APP=APP) as here:
        for count in (1, 2, 50):
            async with asking(here, b"POST /app/release HTTP/1.1\r\nHost: x\r\n\r\n" * count):
                pass
        await until(lambda: not here.activity.visits)
        assert not here.activity.working
        assert here.activity.quiet.is_set()


async def test_the_public_gets_nothing_by_asking_and_leaving_at_once() -> None:
    sent = b"POST /app/release HTTP/1.1\r\nHost: x\r\nFly-Client-IP: 203.0.113.7\r\nContent-Length: 0\r\n\r\n"
    async with site(PROXY, APP=APP) as here:
        for reset in (0, 1) * 20:
            async with asking(here, sent) as caller:
                caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", reset, 0))
        await until(lambda: not here.activity.visits)
        assert set(here.activity.requests) <= {Ingress.PUBLIC}
        assert {status for _, status in here.activity.answers} <= {403}


async def test_pipelined_requests_are_answered_in_order_and_one_at_a_time() -> None:
    requests = [
        b"POST /app/read HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (n, b"x" * n) for n in range(200)
    ]
    last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with site(APP=APP) as here:
        received = await here.send(b"".join([*requests, last]))
        assert not here.activity.working
    bodies = [answer.partition(b"\r\n\r\n")[2] for answer in received.split(b"HTTP/1.1 200 OK\r\n")[1:]]
    assert bodies == [b"%d\n" % n for n in range(200)] + [b"ok\n"]


async def test_an_answer_that_breaks_off_is_not_finished_with_another(caplog: pytest.LogCaptureFixture) -> None:
    async with site(APP=APP) as here:
        received = await here.send(b"GET /app/half HTTP/1.1\r\nHost: x\r\n\r\n")
    assert received.count(b"HTTP/1.1") == 1
    assert b"half an answer" in received
    assert not received.endswith(b"0\r\n\r\n"), "the caller must notice that it is cut"
    assert [record.getMessage() for record in caplog.records] == ["handler failed"]


async def test_an_application_refuses_in_words_of_its_own() -> None:
    async with site(APP=APP) as here:
        answer = await here.ask("/app/refused", "Accept: text/plain")
    assert (answer.status, answer.text) == (400, "<p>a name, please</p>")
    assert answer.headers["content-type"].startswith("text/html")


async def test_an_application_may_set_a_cookie_where_it_redirects() -> None:
    async with site(APP=APP) as here:
        answer = await here.ask("/app/signed-in")
    assert (answer.status, answer.headers["location"]) == (302, "/app/")
    assert answer.headers["set-cookie"].startswith("session=42;")


class Few:
    """A listener that takes three connections at a time, and holds every request but /quick."""

    def __init__(self) -> None:
        self.context = context()
        self.entered = asyncio.Event()
        self.release = asyncio.Event()
        self.writers: list[asyncio.StreamWriter] = []

    async def answer(self, request: web.BaseRequest) -> web.Response:
        connection = connection_of(request)
        assert connection is not None
        connection.request_began(connection.caller(()), request.path)
        connection.request_is_work()
        if request.path != "/quick":
            self.entered.set()
            await self.release.wait()
        return web.Response(text="done\n")

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        server = web.Server(self.answer)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.setblocking(False)
            self.port = listening.getsockname()[1]
            connections = Connections("admin", listening, server, self.context, open_at_most=3)
            connections.start()
            async with asyncio.timeout(PATIENCE_SECONDS):
                yield
            for writer in self.writers:
                writer.close()
            await connections.drain(0)
            await server.shutdown(0)

    async def call(self, sent: bytes = b"") -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        writer.write(sent)
        return reader

    async def ask(self, path: str, then: str = "close") -> asyncio.StreamReader:
        return await self.call(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: {then}\r\n\r\n".encode())


async def test_at_the_limit_whoever_asks_nothing_gives_way_and_whoever_waits_for_an_answer_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("private_svc.web.connection.NEW_SECONDS", 0.0)
    few = Few()
    async with few.serving():
        held = await few.ask("/held")
        await few.entered.wait()
        silent = [await few.call() for _ in range(20)]
        asked = await few.ask("/quick")
        assert Answer(await asked.read()).text == "done\n"
        for reader in silent[:18]:
            assert await reader.read() == b""
        few.release.set()
        assert Answer(await held.read()).text == "done\n"


async def test_at_the_limit_whoever_has_only_just_come_is_given_the_time_to_ask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("private_svc.web.connection.NEW_SECONDS", PATIENCE_SECONDS)
    few = Few()
    async with few.serving():
        new = [await few.call() for _ in range(3)]
        await until(lambda: len(few.context.activity.visits) == 3)
        waits = await few.ask("/quick")
        for _ in range(10):  # turns of the loop, in the first of which room is looked for
            await asyncio.sleep(0)
        few.writers[0].write(b"GET /quick HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert Answer(await new[0].read()).text == "done\n"
        assert Answer(await waits.read()).text == "done\n"
        await until(lambda: len(few.context.activity.visits) == 2)  # the other two are still there


async def test_a_caller_who_waits_behind_the_limit_gets_in_when_another_has_its_answer_and_stays() -> None:
    few = Few()
    async with few.serving():
        kept = [await few.ask("/held", "keep-alive") for _ in range(3)]
        await few.entered.wait()
        await until(lambda: few.context.activity.working == 3)
        asked = await few.ask("/quick")
        few.release.set()
        assert Answer(await asked.read()).text == "done\n"
        for reader in kept:
            assert (await reader.readuntil(b"done\n")).startswith(b"HTTP/1.1 200")
