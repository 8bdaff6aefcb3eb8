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
    from collections.abc import Mapping

    from lab.machine import Machine
    from lab.topology import AppPlan

PATIENCE_SECONDS = 5.0


class CrashedError(LabError):
    """A Machine of the app ended with an error before it served anything."""


async def deploy(app: AppPlan, machines: Mapping[str, Machine]) -> list[str]:
    """Start the Machines of `app` side by side; return a warning for each that does not listen.

    Raises `CrashedError` when one ends with an error at once, `MachineStartError` when it cannot be started.
    """
    own = [machines[plan.machine_id] for plan in app.machines]
    results = await asyncio.gather(*(_bring_up(app, machine) for machine in own), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [warning for result in results if isinstance(result, list) for warning in result]


async def _bring_up(app: AppPlan, machine: Machine) -> list[str]:
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
        return [_describe_exit(app, machine)]
    return [
        f"machine {machine.machine_id} does not listen on 0.0.0.0:{port} "
        f"{PATIENCE_SECONDS:g} s after its start; requests over Flycast will fail with PM05"
        for port in silent
    ]


async def _listens(machine: Machine, port: int) -> bool:
    """Tell whether the app accepts on `port` before patience or its process ends."""
    patience = Patience(attempts=1, attempt_seconds=PATIENCE_SECONDS)
    try:
        connection = await Reach(_unheard, time.monotonic, patience).connect(machine, port, cold=True)
    except CandidateError:
        return False
    connection.close()
    return True


def _unheard(source: str, message: str, *, machine_id: str = "", region: str = "", level: str = "info") -> None:
    """Take no note: what a deploy finds is told by its caller, not by the proxy's log lines."""


def _describe_exit(app: AppPlan, machine: Machine) -> str:
    command = " ".join(machine.plan.argv)
    said = f"; its last line: {machine.last_line}" if machine.last_line else ""
    what = f"app {app.name!r}: {command!r} exited with code {machine.last_status} before it listened{said}"
    if machine.last_status:
        raise CrashedError(what)
    return what
