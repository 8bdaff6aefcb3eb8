from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from private_svc.hello import Hello
from tests.private_svc.making import context
from tests.private_svc.process import PATIENCE_SECONDS, service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from private_svc.activity import Activity

CLIENTS = 1000


def everything(connection: socket.socket) -> bytes:
    received = b""
    while chunk := connection.recv(100):
        received += chunk
    return received


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("first_words", [b"", b"\n", b"x" * 200_000])
def test_a_caller_gets_hello_and_a_clean_end_whether_it_spoke_first_or_not(host: str, first_words: bytes) -> None:
    with (
        service() as running,
        socket.create_connection((host, running.port("hello")), timeout=PATIENCE_SECONDS) as connection,
    ):
        connection.sendall(first_words)
        assert everything(connection) == b"hello\n"


def test_a_thousand_callers_that_speak_first_see_no_reset() -> None:
    outcomes: list[object] = []

    def call(port: int, count: int) -> None:
        for number in range(count):
            try:
                address = (("127.0.0.1", "::1")[number % 2], port)
                with socket.create_connection(address, timeout=PATIENCE_SECONDS) as connection:
                    connection.sendall(b"are you there?\n")
                    outcomes.append(everything(connection))
                    connection.sendall(b"thanks\n")
            except OSError as error:
                outcomes.append(error)

    with service() as running:
        callers = [threading.Thread(target=call, args=(running.port("hello"), CLIENTS // 8)) for _ in range(8)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert [outcome for outcome in outcomes if outcome != b"hello\n"] == []
    assert len(outcomes) == CLIENTS


def test_a_thousand_callers_at_the_same_moment_are_all_greeted() -> None:
    with service() as running:
        address = ("127.0.0.1", running.port("hello"))
        connections = [socket.create_connection(address, timeout=PATIENCE_SECONDS) for _ in range(400)]
        for connection in connections:
            connection.sendall(b"hi\n")
        for connection in connections:
            assert everything(connection) == b"hello\n"
            connection.close()


@asynccontextmanager
async def greeting(close_seconds: float, open_at_most: int = 100) -> AsyncIterator[tuple[Hello, Activity, int]]:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        made = context()
        hello = Hello(loop, listening, made, close_seconds, open_at_most)
        hello.start()
        yield hello, made.activity, listening.getsockname()[1]


async def until_refused(writer: asyncio.StreamWriter, words: bytes) -> None:
    """Keep talking until the kernel tells that the other side is closed; the caller's timeout bounds it."""
    with suppress(ConnectionError):
        while True:
            writer.write(words)
            await writer.drain()
            await asyncio.sleep(0)


async def test_a_caller_that_never_closes_is_closed_when_its_time_is_up() -> None:
    async with greeting(0.05) as (hello, activity, port), asyncio.timeout(PATIENCE_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b"hello\n"
        await until_refused(writer, b"still here\n")
        assert not activity.visits
        await hello.drain(0)


async def test_a_caller_that_floods_is_cut_when_its_time_is_up() -> None:
    async with greeting(0.05) as (hello, activity, port), asyncio.timeout(PATIENCE_SECONDS):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        await until_refused(writer, b"x" * 4096)
        assert not activity.visits
        await hello.drain(0)


async def test_callers_over_the_limit_take_the_place_of_who_was_greeted_longest_ago() -> None:
    async with greeting(PATIENCE_SECONDS, open_at_most=2) as (hello, activity, port), asyncio.timeout(PATIENCE_SECONDS):
        callers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(50)]
        for reader, _ in callers:
            assert await reader.read() == b"hello\n"
        assert len(activity.visits) <= 2
        for _, writer in callers:
            writer.close()
        await hello.drain(PATIENCE_SECONDS)
        assert activity.hellos.total() == 50


async def test_draining_greets_who_is_queued_and_tells_who_was_cut() -> None:
    async with greeting(PATIENCE_SECONDS) as (hello, activity, port), asyncio.timeout(PATIENCE_SECONDS):
        with socket.create_connection(("127.0.0.1", port)) as queued:
            assert await hello.drain(0) == 1
            queued.settimeout(PATIENCE_SECONDS)
            assert everything(queued) == b"hello\n"
        assert not activity.visits
