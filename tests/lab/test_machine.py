from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from lab.background import Background
from lab.errors import CommandError, MachineStartError
from lab.faults import NO_FAULTS, Faults
from lab.machine import Machine
from lab.restart import RestartKind, RestartPolicy
from lab.states import MachineState
from tests.lab.test_topology import lay_out

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from lab.topology import MachinePlan, Network


class Program:
    """A process that ends when told to, by the test or by a signal it listens to."""

    pid = 1

    def __init__(self, ends_on: set[int]) -> None:
        self.ends_on = ends_on
        self.signals: list[int] = []
        self.moves: list[str] = []
        self.may_freeze = asyncio.Event()
        self.may_freeze.set()
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def send(self, signal_number: int) -> None:
        self.signals.append(signal_number)
        if signal_number in self.ends_on and not self.status.done():
            self.status.set_result(0 if signal_number != signal.SIGKILL else 137)

    async def suspend(self) -> None:
        await self.may_freeze.wait()
        self.moves.append("suspend")

    def resume(self) -> None:
        self.moves.append("resume")

    async def ended(self) -> int:
        return await asyncio.shield(self.status)


@dataclass
class Field:
    """A ground whose programs do what the test says."""

    ends_on: set[int] = field(default_factory=lambda: {signal.SIGINT, signal.SIGKILL})
    refuses: bool = False
    programs: list[Program] = field(default_factory=list)
    prints: Callable[[str], None] = print

    async def spawn(self, plan: MachinePlan, on_output: Callable[[str], None]) -> Program:
        await asyncio.sleep(0)
        if self.refuses:
            raise CommandError(plan.argv[0], 2)
        self.prints = on_output
        on_output("hello from the app")
        self.programs.append(Program(self.ends_on))
        return self.programs[-1]

    def dial(self, plan: MachinePlan, port: int) -> socket.socket:
        raise AssertionError((plan, port))

    def endpoint(self, plan: MachinePlan, port: int) -> tuple[str, int]:
        return plan.ipv4, port

    def listen_at_edge(self, address: str, port: int) -> socket.socket:
        raise AssertionError((address, port))

    def listen_inside(self, plan: MachinePlan) -> socket.socket | None:
        raise AssertionError(plan)

    def dial_as_check(self, plan: MachinePlan) -> socket.socket:
        raise AssertionError(plan)

    async def impair(self, plan: MachinePlan, *, delay_ms: float, loss_percent: float) -> None:
        raise AssertionError((plan, delay_ms, loss_percent))

    def listen_as_nameserver(self, network: Network, address: str) -> tuple[socket.socket, socket.socket]:
        raise AssertionError(network, address)


class Notes:
    """An event log that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.last_lines: list[tuple[str, ...]] = []

    def __call__(
        self, source: str, message: str, *,
        machine_id: str = "", region: str = "", level: str = "info", last_lines: Sequence[str] = (),
    ) -> None:  # fmt: skip
        del machine_id, region
        self.lines.append(f"{source} [{level}] {message}")
        self.last_lines.append(tuple(last_lines))


def make(
    ground: Field,
    kill_timeout_seconds: float = 5,
    faults: Faults = NO_FAULTS,
    restart: RestartPolicy = RestartPolicy(RestartKind.NEVER),  # noqa: B008 - frozen
) -> tuple[Machine, Notes]:
    topology = lay_out()
    notes = Notes()
    app = replace(topology.apps[0], kill_timeout_seconds=kill_timeout_seconds)
    plan = replace(topology.machines[0], restart=restart)
    return Machine(plan, app, ground, notes, Background(notes), faults=faults), notes


async def test_starting_side_by_side_starts_once() -> None:
    machine, _ = make(ground := Field())
    await asyncio.gather(*(machine.start() for _ in range(100)))
    assert machine.state is MachineState.STARTED
    assert len(ground.programs) == machine.starts == 1


async def test_a_stop_sends_the_kill_signal_and_waits_for_the_end() -> None:
    machine, notes = make(ground := Field())
    await machine.start()
    await machine.stop()
    assert machine.state is MachineState.STOPPED
    assert ground.programs[0].signals == [signal.SIGINT]
    assert "app [info] Main child exited with code: 0" in notes.lines


async def test_an_app_that_ignores_the_kill_signal_is_killed_after_the_timeout() -> None:
    machine, notes = make(ground := Field(ends_on={signal.SIGKILL}), kill_timeout_seconds=0.01)
    await machine.start()
    await machine.stop()
    assert ground.programs[0].signals == [signal.SIGINT, signal.SIGKILL]
    assert any("did not stop within 0.01s" in line for line in notes.lines), notes.lines


async def test_from_the_kill_signal_on_it_is_stopping() -> None:
    machine, _ = make(Field())
    await machine.start()
    machine.begin_stop()
    assert machine.state is MachineState.STOPPING
    await machine.stop()


async def test_a_start_during_a_stop_waits_for_its_end_and_starts_again() -> None:
    machine, _ = make(ground := Field())
    await machine.start()
    machine.begin_stop()
    await machine.start()
    assert machine.state is MachineState.STARTED
    assert len(ground.programs) == 2


async def test_an_app_that_exits_by_itself_leaves_the_machine_stopped() -> None:
    machine, _ = make(ground := Field())
    await machine.start()
    ground.programs[0].status.set_result(0)
    await machine.exited()
    assert machine.state is MachineState.STOPPED
    assert machine.last_status == 0


async def test_a_command_that_cannot_run_fails_every_waiting_start_and_the_next_one_tries_again() -> None:
    machine, notes = make(ground := Field(refuses=True))
    results = await asyncio.gather(*(machine.start() for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [MachineStartError] * 3
    assert str(machine.state) == "stopped"
    assert any("cannot run 'true': No such file or directory" in line for line in notes.lines), notes.lines
    ground.refuses = False
    await machine.start()
    assert machine.state is MachineState.STARTED


async def test_a_start_given_up_by_its_caller_goes_on_for_the_others() -> None:
    machine, _ = make(Field())
    impatient = asyncio.create_task(machine.start())
    patient = asyncio.create_task(machine.start())
    await asyncio.sleep(0)
    impatient.cancel()
    await patient
    assert machine.state is MachineState.STARTED
    with pytest.raises(asyncio.CancelledError):
        await impatient


async def test_exited_returns_at_once_when_nothing_runs() -> None:
    machine, _ = make(Field())
    async with asyncio.timeout(5):
        await machine.exited()


async def test_the_end_of_an_app_that_fails_is_told_with_the_last_lines_of_that_run_without_the_blank_ones() -> None:
    machine, notes = make(ground := Field())
    for _ in range(2):
        await machine.start()
        for number in range(20):
            ground.prints(f"line {number}")
            ground.prints(" ")
        assert "app [info] hello from the app" in notes.lines
        ground.programs[-1].status.set_result(1)
        await machine.exited()
    assert "app [error] Main child exited with code: 1" in notes.lines
    assert [lines for lines in notes.last_lines if lines] == [tuple(f"line {number}" for number in range(20))] * 2


async def test_the_last_lines_of_a_run_are_not_those_of_the_next() -> None:
    machine, notes = make(ground := Field())
    for number in range(2):
        await machine.start()
        ground.prints(f"run {number}")
        ground.programs[-1].status.set_result(1)
        await machine.exited()
    assert [lines for lines in notes.last_lines if lines] == [("run 0",), ("run 1",)]


async def test_an_app_that_is_stopped_or_ends_well_has_no_last_lines_told() -> None:
    machine, notes = make(ground := Field())
    await machine.start()
    ground.prints("stopped")
    await machine.stop()
    await machine.start()
    ground.prints("done")
    ground.programs[-1].status.set_result(0)
    await machine.exited()
    assert not any(notes.last_lines), notes.lines


async def test_a_suspended_machine_goes_on_with_the_same_program_when_it_is_started() -> None:
    machine, notes = make(ground := Field())
    await machine.start()
    await machine.suspend()
    assert str(machine.state) == "suspended"
    await machine.start()
    assert str(machine.state) == "started"
    assert [program.moves for program in ground.programs] == [["suspend", "resume"]]
    assert machine.starts == 1
    assert notes.lines[-4:-1] == [
        "runner [info] Suspending machine",
        "runner [info] Machine suspended",
        "runner [info] Starting machine",
    ]


async def test_a_start_during_a_suspension_waits_for_it_and_resumes() -> None:
    machine, _ = make(ground := Field())
    await machine.start()
    ground.programs[0].may_freeze.clear()
    machine.begin_suspend()
    starting = asyncio.create_task(machine.start())
    await asyncio.sleep(0)
    assert machine.state is MachineState.SUSPENDING
    ground.programs[0].may_freeze.set()
    await starting
    assert ground.programs[0].moves == ["suspend", "resume"]


async def test_stopping_a_suspended_machine_gives_up_what_it_kept() -> None:
    machine, _ = make(ground := Field())
    await machine.start()
    await machine.suspend()
    await machine.stop()
    assert ground.programs[0].signals == [signal.SIGKILL], "a suspended app cannot hear its kill signal"
    await machine.start()
    assert len(ground.programs) == 2


async def test_a_stop_during_a_suspension_waits_for_it() -> None:
    machine, _ = make(ground := Field())
    await machine.start()
    machine.begin_suspend()
    await machine.stop()
    assert machine.state is MachineState.STOPPED
    assert ground.programs[0].moves == ["suspend"]


async def test_an_app_that_ends_while_it_is_suspended_leaves_the_machine_stopped() -> None:
    machine, _ = make(ground := Field())
    await machine.start()
    ground.programs[0].may_freeze.clear()
    suspending = asyncio.create_task(machine.suspend())
    await asyncio.sleep(0)
    ground.programs[0].status.set_result(0)
    await machine.settled()
    ground.programs[0].may_freeze.set()
    await suspending
    assert machine.state is MachineState.STOPPED


@pytest.mark.parametrize("state", ["created", "stopped", "suspended"])
async def test_only_a_started_machine_is_suspended(state: str) -> None:
    machine, _ = make(ground := Field())
    if state != "created":
        await machine.start()
        await (machine.stop() if state == "stopped" else machine.suspend())
    before = [list(program.moves) for program in ground.programs]
    await machine.suspend()
    assert machine.state == state
    assert [program.moves for program in ground.programs] == before


SOON = RestartPolicy(first_pause_seconds=0.001)
LATE = RestartPolicy(first_pause_seconds=9)


async def test_a_machine_whose_app_fails_is_started_again_until_its_retries_are_used_up() -> None:
    machine, notes = make(ground := Field(), restart=replace(SOON, retries=2))
    await machine.start()
    async with asyncio.timeout(5):
        for number in range(3):
            await machine.until_started()
            assert len(ground.programs) == number + 1
            ground.programs[number].status.set_result(1)
            await machine.while_started()
    assert notes.lines[-1] == "runner [info] machine has reached its max restart count of 2"
    assert machine.state is MachineState.STOPPED


async def test_a_stop_in_the_pause_before_a_restart_ends_it() -> None:
    machine, notes = make(ground := Field(), restart=LATE)
    await machine.start()
    ground.programs[0].status.set_result(1)
    await machine.while_started()
    assert notes.lines[-1] == "runner [info] machine exited with exit code 1, restarting in 9s"
    await machine.stop()
    assert not timers(), "the restart is still to come"


async def test_a_start_in_the_pause_before_a_restart_takes_its_place() -> None:
    machine, _ = make(ground := Field(), restart=LATE)
    await machine.start()
    ground.programs[0].status.set_result(1)
    await machine.while_started()
    await machine.start()
    assert len(ground.programs) == 2
    assert not timers()


def timers() -> list[asyncio.TimerHandle]:
    """Return what is to happen later in this loop."""
    scheduled: list[asyncio.TimerHandle] = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]  # noqa: SLF001 - there is no other way to look
    return [timer for timer in scheduled if not timer.cancelled()]


async def test_an_end_that_was_asked_for_is_no_failure() -> None:
    machine, notes = make(ground := Field(ends_on={signal.SIGKILL}), kill_timeout_seconds=0.01, restart=LATE)
    await machine.start()
    await machine.stop()
    assert ground.programs[0].signals[-1] == signal.SIGKILL
    assert not timers(), notes.lines


async def test_an_app_killed_while_it_is_suspended_is_not_restarted() -> None:
    machine, notes = make(ground := Field(), restart=LATE)
    await machine.start()
    await machine.suspend()
    ground.programs[0].status.set_result(137)
    await machine._until(lambda: machine.state is MachineState.STOPPED)  # noqa: SLF001 - nobody else waits for that
    assert not timers(), notes.lines


async def test_with_a_stop_race_the_machine_looks_started_for_a_while() -> None:
    machine, notes = make(ground := Field(ends_on=set()), faults=Faults(stop_race_ms=1), restart=LATE)
    await machine.start()
    machine.begin_stop()
    machine.begin_stop()
    assert ground.programs[0].signals == [signal.SIGINT], "the app is told once"
    assert machine.state is MachineState.STARTED
    async with asyncio.timeout(5):
        await machine.while_started()
    assert str(machine.state) == "stopping"
    assert "lab [warn] fault stop-race: the proxy does not know for 1ms" in notes.lines


async def test_an_app_that_ends_before_the_proxy_hears_of_its_stop_is_not_restarted() -> None:
    machine, notes = make(Field(), faults=Faults(stop_race_ms=9000), restart=LATE)
    await machine.start()
    await machine.stop()
    assert machine.state is MachineState.STOPPED
    assert not timers(), notes.lines
