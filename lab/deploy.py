"""Start an app's Machines as the end of a deploy does, and say what is wrong with those that do not serve."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.proxy.errors import CandidateError
from lab.proxy.reach import Patience, Reach
from lab.states import MachineState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lab.log import EventLog
    from lab.machine import Machine
    from lab.topology import AppPlan

PATIENCE_SECONDS = 5.0


class CrashedError(LabError):
    """A Machine of the app ended with an error before it served anything."""


async def deploy(app: AppPlan, machines: Mapping[str, Machine], log: EventLog) -> None:
    """Start the Machines of `app` side by side; warn in the log of each that does not listen.

    Raises `CrashedError` when one ends with an error at once, `MachineStartError` when it cannot be started.
    """
    own = [machines[plan.machine_id] for plan in app.machines]
    results = await asyncio.gather(*(_bring_up(app, machine, log) for machine in own), return_exceptions=True)
    for result in results:
        if result is not None:
            raise result


async def _bring_up(app: AppPlan, machine: Machine, log: EventLog) -> None:
    await machine.start()
    served = {
        service.internal_port
        for service in app.services
        if not service.processes or machine.process_group in service.processes
    }
    ports = sorted(served)
    listens = await asyncio.gather(*(_listens(machine, port) for port in ports))
    silent = [port for port, accepts in zip(ports, listens, strict=True) if not accepts]
    if silent and machine.state is MachineState.STOPPED:
        _tell_of_exit(app, machine, log)
        return
    for port in silent:
        what = f"machine {machine.machine_id} does not listen on 0.0.0.0:{port} {PATIENCE_SECONDS:g} s after its start"
        log("lab", f"{what}; requests over Flycast will fail with PM05", level="warn")


async def _listens(machine: Machine, port: int) -> bool:
    """Tell whether the app accepts on `port` before patience or its process ends."""
    patience = Patience(attempts=1, attempt_seconds=PATIENCE_SECONDS)
    try:
        connection = await Reach(_unheard, time.monotonic, patience).connect(machine, port, cold=True)
    except CandidateError:
        return False
    connection.close()
    return True


def _unheard(
    source: str, message: str, *,
    machine_id: str = "", region: str = "", level: str = "info", last_lines: Sequence[str] = (),
) -> None:  # fmt: skip
    """Take no note: what a deploy finds is told by its caller, not by the proxy's log lines."""


def _tell_of_exit(app: AppPlan, machine: Machine, log: EventLog) -> None:
    command = " ".join(machine.plan.argv)
    what = f"app {app.name!r}: {command!r} exited with code {machine.last_status} before it listened"
    if machine.last_status:
        raise CrashedError(what)  # the Machine has told its last lines with its end
    log("lab", what, level="warn", last_lines=machine.last_lines)
