"""Autostop: every interval one pass over an app's Machines, and at most one stop or suspend in each region."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lab.policy import MachineLoad, ServiceLoad, machines_to_stop
from lab.states import MachineState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.log import EventLog
    from lab.machine import Machine
    from lab.policy import Stop
    from lab.proxy.app import AppProxy
    from lab.topology import AppPlan


async def keep_stopping(
    app: AppPlan, machines: Sequence[Machine], proxy: AppProxy, interval_seconds: float, log: EventLog
) -> None:
    """Make a pass every `interval_seconds` until cancelled; a slow stop does not hold up the next pass."""
    by_id = {machine.machine_id: machine for machine in machines}
    async with asyncio.TaskGroup() as stops:
        while True:
            await asyncio.sleep(interval_seconds)
            loads = [_measure(app, machine, proxy) for machine in machines]
            for stop in machines_to_stop(loads, primary_region=app.primary_region):
                log("proxy", _announce(app, stop), machine_id=stop.machine_id, region=stop.region)
                machine = by_id[stop.machine_id]
                begin, end = (
                    (machine.begin_suspend, machine.suspend) if stop.suspend else (machine.begin_stop, machine.stop)
                )
                begin()  # now, not in a task: no request may slip in between
                stops.create_task(end())


def _measure(app: AppPlan, machine: Machine, proxy: AppProxy) -> MachineLoad:
    services = tuple(
        ServiceLoad(
            proxy.load(machine.machine_id, service),
            service.concurrency.soft_limit,
            service.auto_stop,
            service.min_machines_running,
        )
        for service in app.services
        if not service.processes or machine.process_group in service.processes
    )
    started = machine.state is MachineState.STARTED
    return MachineLoad(machine.machine_id, machine.region, machine.process_group, started, services)


def _announce(app: AppPlan, stop: Stop) -> str:
    left = f"{stop.left_running} out of {stop.deployed} machines left running"
    where = f"(region={stop.region}, process group={stop.process_group})"
    verb = "autosuspending" if stop.suspend else "autostopping"
    return f"App {app.name} has excess capacity, {verb} machine {stop.machine_id}. {left} {where}"
