from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import asynccontextmanager, suppress
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from private_svc.activity import Greeted
from private_svc.ingress import Ingress
from private_svc.raw import RawPort
from private_svc.words import HELLO
from tests.private_svc.making import FLY, SeenAs, context
from tests.private_svc.process import PATIENCE_SECONDS, service
from tests.private_svc.test_preface import NO_PREFACES, PREFACES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from private_svc.activity import Activity
    from private_svc.context import Context

CLIENTS = 1000
FLYCAST, PUBLIC = PREFACES["v1 IPv6"][0], PREFACES["v2 IPv4"][0]


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
async def greeting(close_seconds: float, open_at_most: int = 100) -> AsyncIterator[tuple[RawPort, Activity, int]]:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        made = context()
        raw = RawPort(loop, listening, made, HELLO, close_seconds, open_at_most)
        raw.start()
        yield raw, made.activity, listening.getsockname()[1]


async def until_refused(writer: asyncio.StreamWriter, words: bytes) -> None:
    """Keep talking until the kernel tells that the other side is closed; the caller's timeout bounds it."""
    with suppress(ConnectionError):
        while True:
            writer.write(words)
            await writer.drain()
            await asyncio.sleep(0)


async def test_a_caller_that_never_closes_is_closed_when_its_time_is_up() -> None:
    async with greeting(0.05) as (raw, activity, port), asyncio.timeout(PATIENCE_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b"hello\n"
        await until_refused(writer, b"still here\n")
        assert not activity.visits
        await raw.drain(0)


async def test_of_several_callers_that_never_close_each_has_its_own_time() -> None:
    async with greeting(0.05) as (raw, activity, port), asyncio.timeout(PATIENCE_SECONDS):
        for _ in range(3):
            first, second = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
            for reader, writer in (second, first):
                assert await reader.read() == b"hello\n"
                await until_refused(writer, b"still here\n")
        assert not activity.visits
        await raw.drain(0)


async def test_a_caller_that_floods_is_cut_when_its_time_is_up() -> None:
    async with greeting(0.05) as (raw, activity, port), asyncio.timeout(PATIENCE_SECONDS):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        await until_refused(writer, b"x" * 4096)
        assert not activity.visits
        await raw.drain(0)


async def test_callers_over_the_limit_take_the_place_of_who_was_greeted_longest_ago() -> None:
    async with greeting(PATIENCE_SECONDS, open_at_most=2) as (raw, activity, port), asyncio.timeout(PATIENCE_SECONDS):
        callers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(50)]
        for reader, _ in callers:
            assert await reader.read() == b"hello\n"
        assert len(activity.visits) <= 2
        for _, writer in callers:
            writer.close()
        await raw.drain(PATIENCE_SECONDS)
        assert activity.hellos.total() == 50


async def test_draining_greets_who_is_queued_and_ends_although_greeted_callers_keep_their_half_open() -> None:
    async with greeting(PATIENCE_SECONDS) as (raw, activity, port), asyncio.timeout(PATIENCE_SECONDS):
        with socket.create_connection(("127.0.0.1", port)) as queued:
            began_s = asyncio.get_running_loop().time()
            assert await raw.drain(PATIENCE_SECONDS) == 0
            assert asyncio.get_running_loop().time() - began_s < PATIENCE_SECONDS / 2
            queued.settimeout(PATIENCE_SECONDS)
            assert everything(queued) == b"hello\n"
        assert not activity.visits


async def test_draining_cuts_a_caller_whose_preface_has_not_arrived() -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()):
        listening.setblocking(False)
        raw = RawPort(loop, listening, context(SeenAs("172.16.3.4"), HELLO_PROXY_PROTOCOL="on"), HELLO)
        raw.start()
        assert await raw.drain(PATIENCE_SECONDS) == 1


@asynccontextmanager
async def behind_proxy(
    peer: str = "172.16.3.4",
    close_seconds: float = PATIENCE_SECONDS,
    private_only: str = "1",
    fly: Mapping[str, str] = MappingProxyType(FLY),
) -> AsyncIterator[tuple[Context, socket.socket]]:
    """Serve hello with HELLO_PROXY_PROTOCOL on; yield a connection that seems to come from `peer`."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        made = context(SeenAs(peer), fly=fly, HELLO_PROXY_PROTOCOL="on", PRIVATE_ONLY=private_only)
        raw = RawPort(loop, listening, made, HELLO, close_seconds)
        raw.start()
        with socket.create_connection(listening.getsockname()) as caller:
            caller.setblocking(False)
            async with asyncio.timeout(PATIENCE_SECONDS):
                yield made, caller
        await raw.drain(PATIENCE_SECONDS)


async def said_to(caller: socket.socket) -> bytes:
    """Return all that comes until the other side closes its half; a reset is an error."""
    loop = asyncio.get_running_loop()
    received = b""
    while chunk := await loop.sock_recv(caller, 100):
        received += chunk
    return received


@pytest.mark.parametrize("name", PREFACES)
async def test_who_is_behind_the_proxy_is_greeted_unless_that_is_the_public(name: str) -> None:
    data, preface = PREFACES[name]
    ingress = {"fdaa:0:18::9": Ingress.FLYCAST, "203.0.113.7": Ingress.PUBLIC}.get(preface.source, Ingress.PLATFORM)
    outcome = Greeted.REFUSED if ingress is Ingress.PUBLIC else Greeted.GREETED
    async with behind_proxy() as (made, caller):
        caller.sendall(data)
        assert await said_to(caller) == (b"" if outcome is Greeted.REFUSED else b"hello\n")
    assert made.activity.hellos == {(ingress, outcome): 1}


async def test_the_public_is_refused_counted_and_the_log_names_the_address_to_release(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with behind_proxy() as (made, caller):
        caller.sendall(PUBLIC + b"let me in\n" * 10_000)
        assert await said_to(caller) == b"", "an empty close, and no reset although more was said than was read"
    assert made.activity.refused == {Ingress.PUBLIC: 1}
    assert made.exposure.fix[-1].startswith("fly ips release 66.241.125.1 -a ")
    (refused,) = [record.__dict__["fields"] for record in caplog.records if record.getMessage() == "refused"]
    assert (refused["client"], refused["ingress"]) == ("203.0.113.7", "public")
    assert made.exposure.fix[-1] in refused["fix"]


async def test_the_public_is_greeted_when_private_only_is_off() -> None:
    async with behind_proxy(private_only="0") as (made, caller):
        caller.sendall(PUBLIC)
        assert await said_to(caller) == b"hello\n"
    assert made.activity.hellos == {(Ingress.PUBLIC, Greeted.GREETED): 1}


@pytest.mark.parametrize("private_only", ["0", "1"])
async def test_on_fly_a_caller_of_unknown_origin_is_refused_unless_the_public_is_served(private_only: str) -> None:
    async with behind_proxy("192.0.2.1", private_only=private_only) as (made, caller):
        assert await said_to(caller) == (b"hello\n" if private_only == "0" else b"")
    outcome = Greeted.GREETED if private_only == "0" else Greeted.REFUSED
    assert made.activity.hellos == {(Ingress.UNKNOWN, outcome): 1}


async def test_a_health_check_that_connects_and_goes_is_no_work() -> None:
    async with behind_proxy() as (made, caller):
        caller.shutdown(socket.SHUT_WR)
        assert await said_to(caller) == b""
        assert made.activity.quiet.is_set()
    assert made.activity.hellos == {(Ingress.PLATFORM, Greeted.NO_PREFACE): 1}


@pytest.mark.parametrize("sent", [b"", b"P", FLYCAST[:-1]])
async def test_a_proxy_that_says_nothing_more_is_closed_when_its_time_is_up(sent: bytes) -> None:
    async with behind_proxy(close_seconds=0.05) as (made, caller):
        caller.sendall(sent)
        assert await said_to(caller) == b""
    assert made.activity.hellos == {(Ingress.PLATFORM, Greeted.NO_PREFACE): 1}
    assert not made.activity.visits


@pytest.mark.parametrize("name", NO_PREFACES)
async def test_what_is_no_preface_is_closed_without_a_word_and_without_a_reset(name: str) -> None:
    async with behind_proxy() as (made, caller):
        caller.sendall(NO_PREFACES[name] + b"\r\n" * 10_000)
        assert await said_to(caller) == b""
    assert made.activity.hellos == {(Ingress.PLATFORM, Greeted.BAD_PREFACE): 1}


async def test_bad_prefaces_are_logged_once_a_minute_with_what_to_set(caplog: pytest.LogCaptureFixture) -> None:
    async with behind_proxy() as (_, caller):
        with socket.create_connection(caller.getpeername()) as another:
            another.setblocking(False)
            for each in (caller, another):
                each.sendall(b"GET / HTTP/1.1\r\n\r\n")
                assert await said_to(each) == b""
    (line,) = [record.__dict__["fields"] for record in caplog.records if record.getMessage() == "bad PROXY preface"]
    assert line["reason"] == "expected PROXY or its binary signature"
    assert 'handlers = ["proxy_proto"]' in line["fix"]


@pytest.mark.parametrize(("peer", "fly"), [("fdaa:0:18::9", FLY), ("::1", FLY), ("192.0.2.1", {})])
async def test_who_does_not_come_through_the_proxy_is_greeted_at_once_and_a_preface_of_theirs_means_nothing(
    peer: str, fly: dict[str, str]
) -> None:
    async with behind_proxy(peer, fly=fly) as (made, caller):
        assert await said_to(caller) == b"hello\n"
        caller.sendall(PUBLIC)
    ((ingress, outcome),) = made.activity.hellos
    assert outcome is Greeted.GREETED
    assert ingress not in {Ingress.PLATFORM, Ingress.PUBLIC, Ingress.FLYCAST}
    assert not made.activity.refused


@pytest.mark.parametrize("data", [FLYCAST, PREFACES["v2 IPv6"][0]], ids=["v1", "v2"])
async def test_a_preface_may_arrive_in_any_two_parts(data: bytes) -> None:
    for cut in range(1, len(data)):
        async with behind_proxy() as (made, caller):
            caller.sendall(data[:cut])
            for _ in range(3):  # the service reads what there is
                await asyncio.sleep(0)
            assert not made.activity.hellos, f"decided after {cut} of {len(data)} bytes"
            caller.sendall(data[cut:] + b"are you there?\n")
            assert await said_to(caller) == b"hello\n", f"cut after {cut} bytes"
        assert made.activity.hellos == {(Ingress.FLYCAST, Greeted.GREETED): 1}


async def test_a_preface_may_arrive_a_byte_at_a_time() -> None:
    async with behind_proxy() as (_, caller):
        for byte in FLYCAST:
            caller.sendall(bytes([byte]))
            await asyncio.sleep(0)
        assert await said_to(caller) == b"hello\n"
