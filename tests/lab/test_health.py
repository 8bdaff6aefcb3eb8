from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from lab.background import Background
from lab.health import Health, Outcome, describe, keep_checking, make
from lab.machine import Machine
from lab.states import MachineState
from lab.upkeep import Check, CheckKind
from tests.lab.test_machine import Field, Notes
from tests.lab.test_topology import lay_out

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from lab.topology import MachinePlan

HTTP = Check(CheckKind.HTTP, 8080, service_ports=(80, 443), grace_seconds=0, interval_seconds=0.001, timeout_seconds=5)
TCP = Check(CheckKind.TCP, 8080, name="alive", grace_seconds=0)
PLAN = lay_out().machines[0]


class Loopback(Field):
    """A ground whose Machines have one port, a real one of this host."""

    port = 0

    def dial_as_check(self, plan: MachinePlan) -> socket.socket:
        del plan
        sock = socket.socket()
        sock.setblocking(False)
        return sock

    def endpoint(self, plan: MachinePlan, port: int) -> tuple[str, int]:
        del plan, port
        return "127.0.0.1", self.port


class App:
    """A server that answers each connection with what the test says."""

    def __init__(self) -> None:
        self.answer = b"HTTP/1.1 204 Fine\r\n\r\n"
        self.heads: list[bytes] = []
        self.asked = asyncio.Event()

    async def attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self.answer)
        self.asked.set()
        writer.close()


@pytest.fixture
async def app() -> AsyncIterator[tuple[App, Loopback]]:
    app, ground = App(), Loopback()
    server = await asyncio.start_server(app.attend, "127.0.0.1", 0)
    ground.port = server.sockets[0].getsockname()[1]
    async with server:
        yield app, ground


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True), (b"HTTP/1.0 204 \r\n", True), (b"HTTP/1.1 299\r\n", True),
        (b"HTTP/1.1 301 Moved\r\n\r\n", False), (b"HTTP/1.1 503 Ill\r\n\r\n", False), (b"", False),
        (b"200 OK\r\n", False), (b"HTTP/1.1 2x0 OK\r\n", False), (b"SSH-2.0-x\r\n", False),
        (b"HTTP/1.1 " + b"2" * 9000, False),
    ],
)  # fmt: skip
async def test_only_a_2xx_status_line_passes(app: tuple[App, Loopback], answer: bytes, *, expected: bool) -> None:
    app[0].answer = answer
    assert await make(HTTP, PLAN, app[1]) is (Outcome.PASSING if expected else Outcome.FAILING)


async def test_the_request_is_what_the_file_says(app: tuple[App, Loopback]) -> None:
    check = Check(CheckKind.HTTP, 8080, method="HEAD", path="/up?x=1", headers=(("host", "me"), ("x-ask", "yes")))
    assert await make(check, PLAN, app[1]) is Outcome.PASSING
    lines = app[0].heads[0].split(b"\r\n")
    assert lines[0] == b"HEAD /up?x=1 HTTP/1.1"
    assert {b"host: me", b"x-ask: yes", b"Connection: close"} <= set(lines)
    assert sum(line.lower().startswith(b"host:") for line in lines) == 1


async def test_a_port_nobody_listens_on_fails_and_one_that_is_silent_fails_after_the_timeout() -> None:
    ground = Loopback()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ground.port = silent.getsockname()[1]
        short = Check(CheckKind.HTTP, 8080, timeout_seconds=0.02)
        assert await make(TCP, PLAN, ground) is Outcome.PASSING
        assert await make(short, PLAN, ground) is Outcome.FAILING
    assert await make(TCP, PLAN, ground) is Outcome.UNREACHED


async def test_a_machine_is_checked_while_it_is_started_and_each_change_is_told_once(app: tuple[App, Loopback]) -> None:
    notes = Notes()
    machine = Machine(PLAN, lay_out().apps[0], app[1], Notes(), Background(notes))
    machine.health = Health([HTTP])
    checking = asyncio.create_task(keep_checking(machine, HTTP, app[1], notes))
    try:
        await asyncio.sleep(0)
        assert not app[0].heads, "a Machine that is not started is left alone"
        await machine.start()
        await until(app[0], lambda: machine.health.summary() == "1 total, 1 passing")
        assert machine.serves(8080)
        app[0].answer = b"HTTP/1.1 500 Ill\r\n\r\n"
        await until(app[0], lambda: not machine.serves(8080))
        assert machine.serves(1848), "another service of the Machine is none of this check's business"
        await machine.stop()
        await until_true(lambda: machine.health.summary() == "1 total, 1 warning")
        assert machine.state is MachineState.STOPPED
        assert machine.serves(8080), "what has been stopped may be woken"
        assert [line.partition(" Your")[0] for line in notes.lines] == [
            "health [info] Health check on port 8080 is now passing.",
            "health [error] Health check on port 8080 has failed.",
        ]
    finally:
        checking.cancel()
        await asyncio.gather(checking, return_exceptions=True)


async def until(app: App, holds: Callable[[], bool]) -> None:
    """Wait from one request to the next until something holds."""
    async with asyncio.timeout(10):
        while not holds():
            app.asked.clear()
            await app.asked.wait()
            await asyncio.sleep(0)


async def until_true(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await turn()


def turn() -> Awaitable[None]:
    """Let everything else in the loop have its turn."""
    return asyncio.sleep(0)


def test_a_check_of_the_app_s_own_tells_and_keeps_nothing_away() -> None:
    health = Health([TCP])
    assert health.note(TCP, Outcome.FAILING)
    assert not health.note(TCP, Outcome.FAILING)
    assert health.serves(8080)
    assert (
        describe(TCP, passing=False)
        == "Health check 'alive' on port 8080 has failed. Your app is not responding properly."
    )
    assert describe(TCP, passing=True) == "Health check 'alive' on port 8080 is now passing."
    assert Health([]).summary() == ""


def test_a_check_keeps_requests_away_only_once_the_app_has_accepted_one_in_this_run() -> None:
    """Else a check that comes before the app is up would fail the requests that wait for a wake."""
    health = Health([HTTP])
    assert health.serves(8080)
    health.note(HTTP, Outcome.UNREACHED)
    assert health.summary() == "1 total, 1 critical"
    assert health.serves(8080)
    for outcome, serves in [("passing", True), ("unreached", False), ("passing", True), ("failing", False)]:
        health.note(HTTP, Outcome(outcome))
        assert health.serves(8080) is serves, outcome
    health.forget(HTTP)
    health.note(HTTP, Outcome.UNREACHED)
    assert health.serves(8080)
