"""Sessions of your own handler on the raw port: streams or a protocol, from the first byte to the last."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from private_svc.activity import Greeted
from private_svc.ingress import Caller, Ingress
from tests.private_svc.process import PATIENCE_SECONDS
from tests.private_svc.raw_port import HANDLERS, Port, echo, serving
from tests.private_svc.site import PROXY, until
from tests.private_svc.test_preface import PREFACES

if TYPE_CHECKING:
    from typing import Any

    from private_svc.sessions import Handler


@HANDLERS
async def test_a_handler_talks_to_its_caller_knows_it_and_is_work_until_the_end(handler: Handler) -> None:
    async with serving(handler) as port:
        reader, writer = await port.call(b"one\n")
        assert await reader.readline() == b"one\n"
        assert port.activity.working == 1
        assert [visit.doing for visit in port.activity.visits] == ["session"]
        writer.write_eof()
        assert await reader.read() == b"goodbye fdaa:0:18::9\n"
        writer.close()
        await port.activity.quiet.wait()
        assert not port.activity.visits
        assert port.activity.hellos == {(Ingress.SIX_PN, Greeted.GREETED): 1}


@HANDLERS
async def test_the_preface_is_read_before_the_handler_and_not_a_byte_of_what_follows_it(handler: Handler) -> None:
    data, preface = PREFACES["v2 IPv6"]
    for cut in range(len(data) + 1):
        async with serving(handler, PROXY, HELLO_PROXY_PROTOCOL="on") as port:
            reader, writer = await port.call(data[:cut])
            await asyncio.sleep(0)
            writer.write(data[cut:] + b"one\n")
            assert await reader.readline() == b"one\n", f"cut after {cut} bytes"
            writer.write_eof()
            assert await reader.read() == f"goodbye {preface.source}\n".encode()


@HANDLERS
@pytest.mark.parametrize("name", ["v1 IPv4", "v2 IPv4"])
async def test_the_public_and_callers_of_unknown_origin_never_reach_the_handler(handler: Handler, name: str) -> None:
    async with serving(handler, PROXY, HELLO_PROXY_PROTOCOL="on") as port:
        reader, _ = await port.call(PREFACES[name][0] + b"one\n" * 10_000)
        assert await reader.read() == b"", "an empty close, and no reset although more was said than was read"
    async with serving(handler, "192.0.2.1") as port:
        reader, _ = await port.call(b"one\n" * 10_000)
        assert await reader.read() == b""
        assert port.activity.working == 0
    assert port.activity.hellos == {(Ingress.UNKNOWN, Greeted.REFUSED): 1}


async def test_a_session_through_fly_proxy_is_work_while_it_is_open_and_a_health_check_ends_no_idle_time() -> None:
    async with serving(echo, PROXY) as port:
        port.activity.last_work_s = 0.0
        _, writer = await port.call()
        await until(lambda: port.activity.working)
        writer.close()
        await port.activity.quiet.wait()
        assert port.activity.last_work_s == 0.0


async def test_a_caller_that_connects_and_resets_at_once_is_seen_under_its_address() -> None:
    seen: list[Caller] = []

    async def note(reader: asyncio.StreamReader, _: asyncio.StreamWriter, caller: Caller) -> None:
        seen.append(caller)
        await reader.read()

    port = Port(note, "192.0.2.1", {"PRIVATE_ONLY": "0"})
    async with asyncio.timeout(PATIENCE_SECONDS):
        with socket.create_connection(port.address) as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        port.raw.start()
        await until(lambda: seen)
        await port.drain(PATIENCE_SECONDS)
    assert seen == [Caller(Ingress.UNKNOWN, "192.0.2.1")]
    assert not port.activity.visits


async def test_an_answer_survives_a_caller_that_sends_more_than_the_handler_reads() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Caller) -> None:
        await reader.readline()
        writer.write(b"answer\n")

    async with serving(answer) as port:
        reader, writer = await port.call(b"one\n" + bytes(1024 * 1024))
        assert await reader.read() == b"answer\n"
        writer.write(bytes(1024 * 1024))
        await writer.drain()
        writer.close()
        await until(lambda: not port.activity.visits)


async def test_a_large_answer_is_sent_whole_before_the_connection_is_closed() -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: Caller) -> None:
        writer.write(bytes(32 * 1024 * 1024))

    async with serving(answer) as port:
        reader, _ = await port.call()
        assert len(await reader.read()) == 32 * 1024 * 1024


@pytest.mark.parametrize("failure", [ValueError("a bug"), SystemExit(3), ConnectionError("the database has gone")])
async def test_a_handler_that_fails_is_logged_with_its_caller_and_what_it_said_is_sent(
    failure: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Caller) -> None:
        await reader.readline()
        writer.write(b"as far as it came\n")
        raise failure

    async with serving(fail) as port:
        reader, _ = await port.call(b"one\n")
        assert await reader.read() == b"as far as it came\n"
        (record,) = [record for record in caplog.records if record.getMessage() == "raw handler failed"]
        assert record.__dict__["fields"] == {"ingress": Ingress.SIX_PN, "client": "fdaa:0:18::9"}
        assert record.exc_info is not None


async def test_a_caller_that_leaves_in_the_middle_of_a_line_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    async def strict(reader: asyncio.StreamReader, _: asyncio.StreamWriter, __: Caller) -> None:
        await reader.readuntil(b"\n")

    async with serving(strict) as port:
        _, writer = await port.call(b"half a li")
        await until(lambda: port.activity.working)
        writer.close()
        await until(lambda: not port.activity.visits)
    assert "raw handler failed" not in caplog.text


@pytest.mark.parametrize("made", [7, None, asyncio.BaseProtocol()])
async def test_a_factory_that_makes_no_protocol_is_told_and_its_caller_is_let_go(
    made: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(lambda _: made) as port:
        reader, _ = await port.call()
        assert await reader.read() == b""
    assert f"expected an asyncio.Protocol, got {type(made).__name__}" in caplog.text


async def test_at_the_limit_no_session_gives_way_and_a_newcomer_waits_until_one_ends() -> None:
    port = Port(echo, "fdaa:0:18::9", {}, open_at_most=2)
    port.raw.start()
    async with asyncio.timeout(PATIENCE_SECONDS):
        callers = [await port.call(b"one\n") for _ in range(3)]
        for reader, _ in callers[:2]:
            assert await reader.readline() == b"one\n"
        assert len(port.activity.visits) == 2
        callers[0][1].write_eof()
        assert await callers[0][0].read() == b"goodbye fdaa:0:18::9\n"
        assert await callers[2][0].readline() == b"one\n"
        await port.close()
