"""Sessions that are open when the service leaves: they finish, say goodbye, or are cut."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from private_svc import raw, sessions
from tests.private_svc.process import PATIENCE_SECONDS
from tests.private_svc.raw_port import HANDLERS, Port, echo, serving
from tests.private_svc.site import until

if TYPE_CHECKING:
    import pytest

    from private_svc.ingress import Caller
    from private_svc.sessions import Handler


@HANDLERS
async def test_a_drain_ends_the_input_of_an_open_session_which_says_goodbye(handler: Handler) -> None:
    async with serving(handler) as port:
        reader, writer = await port.call(b"one\n")
        assert await reader.readline() == b"one\n"
        assert await port.drain(PATIENCE_SECONDS) == 0
        writer.write(b"too late\n" * 100_000)
        assert await reader.read() == b"goodbye fdaa:0:18::9\n"


async def test_a_drain_answers_what_a_queued_caller_has_asked_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw, "GRACE_SECONDS", 1.0)  # for a busy machine
    port = Port(echo, "fdaa:0:18::9", {})
    async with asyncio.timeout(PATIENCE_SECONDS):
        reader, _ = await port.call(b"one\n")
        port.raw.start()
        assert await port.drain(PATIENCE_SECONDS) == 0
        assert await reader.read() == b"one\ngoodbye fdaa:0:18::9\n"
        await port.close()


async def test_a_handler_whose_caller_has_left_is_work_until_it_has_finished_and_a_drain_waits_for_it() -> None:
    begun, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def store(reader: asyncio.StreamReader, _: asyncio.StreamWriter, __: Caller) -> None:
        await reader.readline()
        begun.set()
        await go_on.wait()
        done.set()

    async with serving(store) as port:
        _, writer = await port.call(b"store this\n")
        await begun.wait()
        writer.transport.abort()
        draining = asyncio.create_task(port.drain(PATIENCE_SECONDS))
        await asyncio.wait([draining], timeout=0.5)
        assert not draining.done()
        assert port.activity.working == 1
        go_on.set()
        assert await draining == 0
        assert done.is_set()
        assert not port.activity.visits


async def test_a_drain_cancels_a_handler_that_outlasts_it_and_counts_it_as_cut() -> None:
    ended: list[str] = []

    async def stubborn(_: asyncio.StreamReader, __: asyncio.StreamWriter, ___: Caller) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async with serving(stubborn) as port:
        reader, _ = await port.call()
        await until(lambda: port.activity.working)
        assert await port.drain(0.3) == 1
        assert ended == ["cancelled"]
        assert await reader.read() == b""


async def test_a_drain_does_not_wait_for_the_socket_of_a_caller_that_has_its_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sessions, "CLOSE_SECONDS", PATIENCE_SECONDS)

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: Caller) -> None:
        writer.write(b"answer\n")

    async with serving(answer) as port:
        reader, _ = await port.call()
        assert await reader.read() == b"answer\n"
        began_s = asyncio.get_running_loop().time()
        assert await port.drain(PATIENCE_SECONDS) == 0
        assert asyncio.get_running_loop().time() - began_s < PATIENCE_SECONDS / 4
