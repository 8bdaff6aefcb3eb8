"""One Machine of the lab: its state, its start, stop and suspension, and the log lines Fly writes about them.

Where its process runs is a `Ground`: namespaces in the lab, plain processes in the loopback walkthrough.
Source of the rules and texts: docs/fly.md, "Sleep and wake" and "Metrics and logs".
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from lab.errors import CommandError, LabError, MachineStartError
from lab.faults import NO_FAULTS, altered
from lab.health import Health
from lab.restart import WINDOW_SECONDS, Rest, after_exit
from lab.states import ASLEEP, FALLING_ASLEEP, Event, MachineState, advance

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine, Sequence

    from lab.background import Background
    from lab.faults import Faults
    from lab.log import EventLog
    from lab.topology import AppPlan, MachinePlan, Network

_RUNNING = {MachineState.STARTING, MachineState.STARTED, MachineState.STOPPING}
_SETTLED = {MachineState.STARTED, *ASLEEP}
_MOST_LAST_LINES = 20
_MOST_RESTARTS = 1000  # remembered; with the pauses between them that is days


class Process(Protocol):
    """A running Machine's init."""

    pid: int

    def send(self, signal_number: int) -> None:
        """Send it a signal; nothing happens when it has ended."""

    async def suspend(self) -> None:
        """Stop every process of the Machine where it is; return once all stand still."""

    def resume(self) -> None:
        """Let every process of the Machine go on."""

    async def ended(self) -> int:
        """Wait for its end; return its exit status, 128 + signal when it was killed."""


class Ground(Protocol):
    """Where Machines run and where the proxy reaches them from."""

    async def spawn(self, plan: MachinePlan, on_output: Callable[[str], None]) -> Process:
        """Start the Machine's init and app; `on_output` gets each line the app prints."""

    def dial(self, plan: MachinePlan, port: int) -> socket.socket:
        """Return an unconnected, non-blocking IPv4 socket that can reach internal port `port`."""

    def dial_as_check(self, plan: MachinePlan) -> socket.socket:
        """Return such a socket whose peer the app sees as its own gateway, as health checks come."""

    def endpoint(self, plan: MachinePlan, port: int) -> tuple[str, int]:
        """Return where to connect it to."""

    def listen_at_edge(self, address: str, port: int) -> socket.socket:
        """Return a listening socket on a Flycast address."""

    def listen_inside(self, plan: MachinePlan) -> socket.socket | None:
        """Return the listening unix socket that is `/.fly/api` in the Machine; None where it cannot have one."""

    def listen_as_nameserver(self, network: Network, address: str) -> tuple[socket.socket, socket.socket]:
        """Return the UDP and the listening TCP socket of the nameserver at `address` of `network`."""

    async def impair(self, plan: MachinePlan, *, delay_ms: float, loss_percent: float) -> None:
        """Delay and lose packets to and from a Machine; raise `LabError` where the host cannot."""


class Machine:
    """A Machine that can be started, stopped and suspended, again and again."""

    def __init__(
        self,
        plan: MachinePlan,
        app: AppPlan,
        ground: Ground,
        log: EventLog,
        background: Background,
        *,
        boot_ms: int = 0,
        faults: Faults = NO_FAULTS,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """Make it in state `created`; `boot_ms` is an artificial time that a start takes."""
        self.plan = plan
        self.machine_id = plan.machine_id
        self.region = plan.region
        self.process_group = plan.process_group
        self.address = plan.ipv4
        self.starts = 0
        self.last_status: int | None = None
        self.last_lines: deque[str] = deque(maxlen=_MOST_LAST_LINES)  # of this run, without the blank ones
        self.health = Health(plan.checks)
        self._faults = faults
        self._restarts: deque[float] = deque(maxlen=_MOST_RESTARTS)
        self._restart: asyncio.TimerHandle | None = None
        self._stop_unheard: asyncio.TimerHandle | None = None
        self._app = app
        self._ground = ground
        self._log = log
        self._background = background
        self._boot_seconds = boot_ms / 1000
        self._on_change = on_change
        self._state = MachineState.CREATED
        self._changed = asyncio.Event()
        self.process: Process | None = None
        self._start: asyncio.Task[None]
        self._suspension: asyncio.Task[None]

    def __repr__(self) -> str:
        """Show who it is and its state."""
        return f"<Machine {self.machine_id} {self.region} {self._state}>"

    @property
    def state(self) -> MachineState:
        """The state as the Machines API names it."""
        return self._state

    def dial(self, port: int) -> socket.socket:
        """Return an unconnected socket for one connection to internal port `port`."""
        return self._ground.dial(self.plan, port)

    def endpoint(self, port: int) -> tuple[str, int]:
        """Return the address of `port` inside the Machine."""
        return self._ground.endpoint(self.plan, port)

    def serves(self, internal_port: int) -> bool:
        """Tell whether its health checks let requests for that port come here."""
        return self.health.serves(internal_port)

    async def until_started(self) -> None:
        """Wait until it is started."""
        await self._until(lambda: self._state is MachineState.STARTED)

    async def while_started(self) -> None:
        """Wait until it is not started any more."""
        await self._until(lambda: self._state is not MachineState.STARTED)

    async def settled(self) -> None:
        """Wait until it is neither starting nor falling asleep."""
        await self._until(lambda: self._state in _SETTLED)

    async def exited(self) -> None:
        """Wait for the end, or the suspension, of the run that is under way; return at once when there is none."""
        run = self.starts
        await self._until(lambda: self.starts != run or self._state not in _RUNNING)

    async def start(self) -> None:
        """Start or resume it, or join a start under way; return once started, raise `MachineStartError`."""
        await self._until(lambda: self._state not in FALLING_ASLEEP)
        if self._state is MachineState.STARTED:
            return
        if self._state is MachineState.SUSPENDED and self.process is not None:
            self._resume(self.process)
            return
        if self._state is not MachineState.STARTING:
            self._move(Event.START)
            self.starts += 1
            self._start = self._do("start", self._bring_up())
        await asyncio.shield(self._start)

    def begin_stop(self) -> None:
        """Send the app's kill signal, or end it when it is suspended; from now on no new work is routed here."""
        self._forget_restart()
        if self._state is MachineState.STARTED and self.process is not None and self._stop_unheard is None:
            self._say("app", f"Sending signal {self._app.kill_signal} to main child process")
            self._send_kill_signal(self.process)
            self._tell_of_stop()
        elif self._state is MachineState.SUSPENDED and self.process is not None:
            self._move(Event.STOP)
            self.process.send(signal.SIGKILL)

    def _send_kill_signal(self, process: Process) -> None:
        if self._faults.ignore_sigint:
            self._say("lab", f"fault ignore-sigint: the app does not hear {self._app.kill_signal}", "warn")
        else:
            process.send(signal.Signals[self._app.kill_signal])

    def _tell_of_stop(self) -> None:
        if not self._faults.stop_race_ms:
            self._move(Event.STOP)
            return
        self._say("lab", f"fault stop-race: the proxy does not know for {self._faults.stop_race_ms:g}ms", "warn")
        loop = asyncio.get_running_loop()
        self._stop_unheard = loop.call_later(self._faults.stop_race_ms / 1000, self._hear_of_stop)

    def _hear_of_stop(self) -> None:
        self._stop_unheard = None
        self._move(Event.STOP)

    async def stop(self) -> None:
        """Stop it: the kill signal, SIGKILL after the kill timeout; return when it has ended."""
        self._forget_restart()
        await self._until(lambda: self._state not in {MachineState.STARTING, MachineState.SUSPENDING})
        self.begin_stop()
        timeout = self._app.kill_timeout_seconds
        try:
            async with asyncio.timeout(timeout):
                await self.exited()
        except TimeoutError:
            self._say("runner", f"Machine did not stop within {timeout:g}s, sending signal SIGKILL", "warn")
            if self.process is not None:
                self.process.send(signal.SIGKILL)
            await self.exited()

    def begin_suspend(self) -> None:
        """Begin to suspend it when it is started; from now on no new work is routed here."""
        if self._state is MachineState.STARTED and self.process is not None and self._stop_unheard is None:
            self._move(Event.SUSPEND)
            self._say("runner", "Suspending machine")
            self._suspension = self._do("suspension", self._freeze(self.process))

    async def suspend(self) -> None:
        """Suspend it when it is started; return once nothing in it moves."""
        await self._until(lambda: self._state is not MachineState.STARTING)
        self.begin_suspend()
        if self._state is MachineState.SUSPENDING:
            await asyncio.shield(self._suspension)

    async def _freeze(self, process: Process) -> None:
        await process.suspend()
        if self._state is MachineState.SUSPENDING:  # else it has ended meanwhile
            self._move(Event.FROZEN)
            self._say("runner", "Machine suspended")

    def _resume(self, process: Process) -> None:
        began = asyncio.get_running_loop().time()
        self._move(Event.START)
        self._say("runner", "Starting machine")
        process.resume()
        self._move(Event.RUNNING)
        self._say_started(began)

    async def _bring_up(self) -> None:
        began = asyncio.get_running_loop().time()
        self._say("runner", "Starting machine")
        if self._boot_seconds:
            await asyncio.sleep(self._boot_seconds)  # the artificial boot that --boot-ms asks for
        argv, fault = altered(self.plan.argv, self.starts, self._faults)
        if fault:
            self._say("lab", fault, "warn")
        try:
            process = await self._ground.spawn(replace(self.plan, argv=argv), self._hear)
        except (LabError, OSError) as error:
            self._move(Event.EXIT)
            because = self._with_search(error) if isinstance(error, CommandError) else str(error)
            self._say("runner", f"machine failed to start: {because}", "error")
            raise MachineStartError(f"machine {self.machine_id} failed to start: {because}") from error
        self.process = process
        self.last_lines.clear()  # of the run before, and of what the ground itself had to say about this one
        self._move(Event.RUNNING)
        self._do("watch", self._watch_process(process))
        self._say_started(began)

    def _with_search(self, error: CommandError) -> str:
        image = self.plan.image
        files = f"image {image.name!r}" if image else "this host's files, as a Machine sees them"
        return error.with_search(self.plan.env.get("PATH", os.defpath), self.plan.directory, files)

    def _say_started(self, began: float) -> None:
        took_ms = (asyncio.get_running_loop().time() - began) * 1000
        self._say("runner", f"machine started in {took_ms:.0f}ms")

    async def _watch_process(self, process: Process) -> None:
        status = await process.ended()
        self.process = None
        self.last_status = status
        by_itself = self._state is MachineState.STARTED and self._stop_unheard is None
        level, last_lines = ("error", self.last_lines) if by_itself and status != 0 else ("info", ())
        self._say("app", f"Main child exited with code: {status}", level, last_lines)
        if self._stop_unheard is not None:
            self._stop_unheard.cancel()
            self._stop_unheard = None
        self._move(Event.EXIT)
        if by_itself:
            self._after_exit(status)

    def _after_exit(self, status: int) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._restarts and now - self._restarts[0] >= WINDOW_SECONDS:
            self._restarts.popleft()
        decision = after_exit(self.plan.restart, status, self._restarts, now)
        if isinstance(decision, Rest):
            self._say("runner", decision.reason)
            return
        pause_seconds = decision.pause_seconds
        self._say("runner", f"machine exited with exit code {status}, restarting in {pause_seconds:g}s")
        self._restart = loop.call_later(pause_seconds, self._start_again)

    def _start_again(self) -> None:
        self._restart = None
        self._restarts.append(asyncio.get_running_loop().time())
        self._do("restart", self.start())

    def _forget_restart(self) -> None:
        if self._restart is not None:
            self._restart.cancel()
            self._restart = None

    def _hear(self, line: str) -> None:
        if line.strip():
            self.last_lines.append(line)
        self._say("app", line)

    def _move(self, event: Event) -> None:
        if event is Event.START:
            self._forget_restart()  # somebody was quicker
        self._state = advance(self._state, event)
        self._changed.set()
        self._changed = asyncio.Event()
        self._on_change()

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await self._changed.wait()

    def _do(self, what: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._background.do(f"the {what} of machine {self.machine_id}", work)

    def _say(self, source: str, message: str, level: str = "info", last_lines: Sequence[str] = ()) -> None:
        self._log(
            source, message, machine_id=self.machine_id, region=self.region, level=level, last_lines=last_lines
        )  # fmt: skip
