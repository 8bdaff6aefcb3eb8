"""Carries the schedule out on a lab: every fault by the command a person has for it, and the rests between."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.remote import ask
from lab.states import ASLEEP
from tests.e2e.cold_starts import look
from tests.e2e.running import LAB
from tests.lab.soak.observer import Violation
from tests.lab.soak.schedule import CROWDS, SWITCHED, Fault, schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.e2e.cold_starts import Usage
    from tests.e2e.running import RunningLab
    from tests.lab.soak.clients import Client
    from tests.lab.soak.observer import Observer
    from tests.lab.soak.schedule import Step

MACHINE_SECONDS = 60
SETTLE_SECONDS = 30
LOOK_SECONDS = 0.25
FIRST_LOOK_SECONDS = 6.0  # connections to Machines are kept for 4 s
GROWTH_KIB = 24 * 1024  # allocators keep what a flood took; a leak of an object a request is more in minutes


class Driver:
    """Drives one lab through a schedule."""

    def __init__(
        self,
        lab: RunningLab,
        observer: Observer,
        clients: Sequence[Client],
        blame: Callable[[Violation], None],
        hostile: Sequence[str],
    ) -> None:
        """Act on `lab`, tell `observer` of every fault, and let `clients` and the `hostile` Machines rest at times."""
        self._blame = blame
        self.history: list[tuple[float, Step]] = []
        self.usages: list[Usage] = []
        self._lab = lab
        self._observer = observer
        self._clients = clients
        self._crowd = next(client for client in clients if client.role == "crowd")
        self._machines = sorted(observer.lives)
        self._hostile = hostile
        self._faults: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()

    async def drive(self, seed: int, seconds: float) -> None:
        """Carry out `seed` for so many seconds of load, the last of them a rest."""
        for client in self._clients:
            client.tell("go")
        began = time.monotonic()
        for step in schedule(seed, len(self._machines)):
            if step.at_seconds > seconds:
                break
            await asyncio.sleep(began + step.at_seconds - time.monotonic())
            self.history.append((time.time(), step))
            if step.fault is Fault.REST:
                rest_began = time.monotonic()
                await self._rest()
                began += time.monotonic() - rest_began
            else:
                task = asyncio.create_task(self._strike(step))
                self._faults.add(task)
                task.add_done_callback(self._faults.discard)
        await asyncio.sleep(max(0, began + seconds - time.monotonic()))
        await self._rest()

    async def _strike(self, step: Step) -> None:
        machine_id = self._machines[step.machine]
        in_force = self._observer.begin(step.fault, step.value, machine_id, time.time())
        try:
            if step.fault in SWITCHED:
                value = f"={step.value}" if step.value else ""
                await self._switch(f"{step.fault}{value}")
                await self._hold(step.hold_seconds)
                await self._switch(f"{step.fault}=off")
            elif step.fault in CROWDS:
                self._crowd.tell(f"{step.fault.removesuffix('-crowd')} {step.value}")
                await self._hold(step.hold_seconds)
                self._crowd.tell("release")
            elif step.fault is Fault.KILL:
                await self._kill(machine_id)
            else:
                await self._command(step.fault, machine_id)
        except (LabError, TimeoutError) as error:
            self._blame(Violation(time.time(), f"the lab did not carry out {step}: {error!r}"))
        finally:
            in_force.ended = time.time()

    async def _hold(self, seconds: float) -> None:
        """Wait so long, or until the rest begins."""
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            pass

    async def _switch(self, *faults: str) -> None:
        await asyncio.to_thread(ask, self._lab.process.pid, {"do": "fault", "faults": faults})

    async def _command(self, verb: str, machine_id: str) -> None:
        try:
            request = {"do": verb, "machine": machine_id}
            await asyncio.to_thread(ask, self._lab.process.pid, request, MACHINE_SECONDS)
        except LabError as error:
            if "only a started one can be suspended" not in str(error) and "failed to start" not in str(error):
                raise

    async def _kill(self, machine_id: str) -> None:
        """Kill the app by the process id it tells of itself; it may have ended since."""
        pid = self._observer.boots.get(machine_id, "").partition("-")[0]
        if pid:
            kill = await asyncio.create_subprocess_exec(
                *LAB, "exec", "--lab", str(self._lab.process.pid), "--machine", machine_id, "--", "kill", "-9", pid,
                stdout=sys.stderr, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            async with asyncio.timeout(MACHINE_SECONDS):
                await kill.wait()

    async def _rest(self) -> None:
        """End load and faults, let every Machine sleep, and see whether the lab is as small as it was."""
        self._over.set()
        if self._faults:
            await asyncio.wait(self._faults, timeout=MACHINE_SECONDS)
        await self._switch(*(f"{fault}=off" for fault in sorted(SWITCHED)))
        await asyncio.gather(*(client.rest() for client in self._clients))
        await self._sleep_all()
        await self._compare()
        await asyncio.gather(*(self._command(Fault.START, machine_id) for machine_id in self._hostile))
        self._over.clear()
        for client in self._clients:
            client.tell("go")

    async def _sleep_all(self) -> None:
        async with asyncio.timeout(MACHINE_SECONDS):
            while True:
                machines = (*self._machines, *self._hostile)
                await asyncio.gather(*(self._command("stop", machine_id) for machine_id in machines))
                status = await asyncio.to_thread(ask, self._lab.process.pid, {"do": "status"})
                if all(machine["state"] in ASLEEP for machine in status["machines"]):
                    return

    async def _compare(self) -> None:
        if not self.usages:
            await asyncio.sleep(FIRST_LOOK_SECONDS)  # what is kept open for a while must not count as usual
            self.usages.append(look(self._lab))
            return
        end = time.monotonic() + SETTLE_SECONDS
        while growths(self.usages[0], now := look(self._lab)) and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_SECONDS)  # /proc tells nobody of a change
        self.usages.append(now)
        for what in growths(self.usages[0], now):
            self._blame(Violation(time.time(), f"{SETTLE_SECONDS} s after the load: {what}"))


def growths(before: Usage, after: Usage) -> list[str]:
    """Return a line for each thing there is more of."""
    found = [
        f"{what}: {getattr(before, what)} at first, {getattr(after, what)} now"
        for what in ("processes", "namespaces", "descriptors")
        if getattr(after, what) > getattr(before, what)
    ]
    if after.resident_kib > before.resident_kib + GROWTH_KIB:
        found.append(f"memory of the supervisor: {before.resident_kib} KiB at first, {after.resident_kib} KiB now")
    return found
