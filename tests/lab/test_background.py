"""No background task of the lab ends in silence: each is broken on purpose here, and the lab ends and says why."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from lab import autostop, crash, health, memory
from lab.background import Background, BackgroundError
from lab.cli import LabOptions
from lab.dns_faults import FaultySocket
from lab.errors import LabError
from lab.faults import Faults
from lab.supervisor import Lab
from lab.topology import Topology
from lab.upkeep import Check, CheckKind
from lab.wireguard import gateway as gateways
from lab.wireguard import uapi
from lab.wireguard.keys import new_key_pair
from tests.lab.test_machine import Field, Notes, Program
from tests.lab.test_topology import lay_out

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from lab.topology import MachinePlan, Network

WAIT_SECONDS = 10
BROKEN = "RuntimeError: broken on purpose (raised in"


def broken(*_: Any, **__: Any) -> Any:
    raise RuntimeError("broken on purpose")


async def broken_later(*_: Any, **__: Any) -> Any:
    await asyncio.sleep(0)
    broken()


class Ground(Field):
    """Machines as the test says, names on loopback, and `/.fly/api` in the test's directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory = directory
        self.udp_port = 0
        self.tcp_port = 0

    def dial_as_check(self, plan: MachinePlan) -> socket.socket:
        raise ConnectionRefusedError(plan.machine_id)

    def listen_inside(self, plan: MachinePlan) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.directory / plan.machine_id))
        listener.listen()
        return listener

    def listen_as_nameserver(self, network: Network, address: str) -> tuple[socket.socket, socket.socket]:
        del network, address
        tcp = socket.create_server(("127.0.0.1", 0))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        self.udp_port, self.tcp_port = udp.getsockname()[1], tcp.getsockname()[1]
        return udp, tcp


def one_machine() -> Topology:
    """One Machine with a health check, and no service."""
    topology = lay_out()
    check = Check(CheckKind.TCP, 8080, "alive", grace_seconds=0)
    plan = replace(topology.machines[0], checks=(check,))
    return Topology((replace(topology.apps[0], machines=(plan,)),), topology.shells)


@asynccontextmanager
async def lab_that_is_up(directory: Path, faults: Faults | None = None) -> AsyncIterator[tuple[Lab, Ground, Notes]]:
    ground, notes = Ground(directory), Notes()
    options = LabOptions(0.001, 0, None, faults or Faults())
    async with asyncio.timeout(WAIT_SECONDS), Lab(one_machine(), ground, notes, options) as lab:
        yield lab, ground, notes


async def suspend(lab: Lab, _: Ground) -> None:
    await asyncio.gather(*(machine.suspend() for machine in lab.machines.values()))


async def fail_and_be_restarted(lab: Lab, ground: Ground) -> None:
    for machine in lab.machines.values():
        machine.start = broken_later  # type: ignore[method-assign]  # from the second start on
    ground.programs[0].status.set_result(1)


async def ask_a_name(_: Lab, ground: Ground) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.sendto(b"what", ("127.0.0.1", ground.udp_port))


TASKS = {
    "autostop": (autostop, "machines_to_stop", broken, None, "autostop of app demo"),
    "memory": (memory, "in_namespaces", broken, None, "the watch over memory"),
    "health check": (health, "make", broken_later, None, "the health check on port 8080 of machine "),
    "crash": (crash, "_reached", broken, None, "the fault crash-mid-request of machine "),
    "start": (Field, "spawn", broken_later, None, "the start of machine "),
    "the watch of a Machine": (Program, "ended", broken_later, None, "the watch of machine "),
    "suspension": (Program, "suspend", broken_later, suspend, "the suspension of machine "),
    "restart": (Field, "refuses", False, fail_and_be_restarted, "the restart of machine "),
    "names": (FaultySocket, "recvfrom", broken, ask_a_name, "Exception in callback NameServer._read"),
}


@pytest.mark.parametrize("name", TASKS)
async def test_a_background_task_that_ends_unexpectedly_ends_the_lab_and_the_log_says_why(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, function, fault, act, said = TASKS[name]
    monkeypatch.setattr(memory, "LOOK_SECONDS", 0)
    monkeypatch.setattr("lab.proxy.app.AppProxy.load", lambda *_: 1)

    async def work(lab: Lab, ground: Ground) -> None:
        await asyncio.gather(lab.deploy(), return_exceptions=True)  # a start that is broken is told in the log, too
        lab.begin_autostop()
        if act is not None:
            await act(lab, ground)
        await asyncio.Event().wait()

    faults = Faults(crash_mid_request_ms=1) if name == "crash" else None
    monkeypatch.setattr(owner, function, fault)
    with pytest.raises(BackgroundError) as raised:
        async with lab_that_is_up(tmp_path, faults) as (lab, ground, notes):
            await lab.background.beside(work(lab, ground))
    assert str(raised.value).startswith(f"the lab ends, because {said}"), raised.value
    assert BROKEN in str(raised.value)
    assert any(line.startswith(f"lab [error] {said}") and BROKEN in line for line in notes.lines), notes.lines


async def test_a_task_that_goes_on_for_ever_may_neither_return_nor_be_cancelled_by_others() -> None:
    never = asyncio.get_running_loop().create_future()

    async def wait() -> None:
        await never

    for work, why in ((asyncio.sleep(0), "it returned"), (wait(), "it was cancelled by something that it waited for")):
        background = Background(notes := Notes())
        background.keep("the work", work)
        never.cancel()
        with pytest.raises(BackgroundError, match=f"^the lab ends, because the work has ended unexpectedly: {why}; "):
            await background.beside(asyncio.Event().wait())
        assert notes.lines == [f"lab [error] the work has ended unexpectedly: {why}"]


async def test_work_that_ends_by_itself_may_return_or_fail_as_the_lab_s_errors_say() -> None:
    async def refuse() -> None:
        await asyncio.sleep(0)
        raise LabError("not today")

    background = Background(notes := Notes())
    assert await background.beside(background.do("some work", asyncio.sleep(0, 7))) == 7
    with pytest.raises(LabError, match="not today"):
        await background.beside(background.do("some work", refuse()))
    background.keep("a task", asyncio.sleep(WAIT_SECONDS)).cancel()
    await background.close()
    assert notes.lines == []


async def test_work_that_begins_after_a_failure_ends_at_once() -> None:
    background = Background(Notes())
    background.do("some work", broken_later())
    while background._tasks:  # noqa: ASYNC110, SLF001 - nobody waits for it
        await asyncio.sleep(0)
    with pytest.raises(BackgroundError, match="some work"):
        await background.beside(asyncio.Event().wait())


async def test_who_cancels_the_work_is_not_told_of_a_failure_instead() -> None:
    background = Background(Notes())
    work = asyncio.create_task(background.beside(asyncio.Event().wait()))
    await asyncio.sleep(0)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work


async def test_a_fault_in_one_connection_s_protocol_is_an_error_and_ends_nothing(tmp_path: Path) -> None:
    class Protocol(asyncio.Protocol):
        data_received = broken

    async with lab_that_is_up(tmp_path) as (lab, _, notes):
        server = await asyncio.get_running_loop().create_server(Protocol, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"x")
            assert await lab.background.beside(reader.read()) == b""
            writer.close()
    assert [line for line in notes.lines if BROKEN in line and line.startswith("lab [error] Fatal error")]


async def test_a_wireguard_gateway_that_can_be_watched_no_longer_ends_the_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    async def configured(*_: object) -> None:
        pass

    monkeypatch.setattr(uapi, "configure", configured)
    monkeypatch.setattr(gateways, "_move_inside", lambda *_: None)
    programs: list[Program] = []

    async def launch(_argv: object, _env: object, _network: int, hear: Callable[[str], None]) -> Any:
        await asyncio.sleep(0)
        if programs:
            broken()
        for line in gateways._READY_LINES:  # noqa: SLF001 - what wireguard-go says
            hear(line)
        programs.append(Program(set()))
        return programs[0]

    background = Background(notes := Notes())
    gateway = gateways.Gateway(
        one_machine().networks[0], new_key_pair(),
        interface="wg0", internet=0, router=0, launch=launch, peers=list, log=notes, background=background,
    )  # fmt: skip
    await gateway.open()
    programs[0].status.set_result(1)
    with pytest.raises(BackgroundError, match="because the WireGuard gateway of personal has ended unexpectedly"):
        async with asyncio.timeout(WAIT_SECONDS):
            await background.beside(asyncio.Event().wait())
