"""The lab as a whole: Machines, nameserver, proxies and autostop of one private network, on some ground."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from lab.autostop import keep_stopping
from lab.deploy import deploy
from lab.errors import LabError
from lab.machine import Machine
from lab.machine_api import MachineApi
from lab.nameserver import AppRecord, MachineRecord, NameServer, View
from lab.proxy.app import AppProxy
from lab.services import served_ports
from lab.states import MachineState
from lab.topology import NAMESERVERS

if TYPE_CHECKING:
    from lab.cli import LabOptions
    from lab.log import EventLog
    from lab.machine import Ground
    from lab.topology import AppPlan, MachinePlan, Topology

GRACE_SECONDS = 0.5  # what Machines get to finish when the whole lab goes


class Lab:
    """One private network, up from `async with` to its end."""

    def __init__(self, topology: Topology, ground: Ground, log: EventLog, options: LabOptions) -> None:
        """Make every Machine and proxy; nothing listens or runs yet."""
        self.topology = topology
        self._ground = ground
        self._log = log
        self._options = options
        self._view: View | None = None
        self._stack = AsyncExitStack()
        self.machines = {
            plan.machine_id: Machine(
                plan, app, ground, log, boot_ms=options.boot_ms, on_change=partial(self._machine_changed, plan)
            )
            for app in topology.apps
            for plan in app.machines
        }
        self.proxies = {app.name: self._make_proxy(app) for app in topology.apps}

    def _make_proxy(self, app: AppPlan) -> AppProxy:
        backends = [self.machines[plan.machine_id] for plan in app.machines]
        return AppProxy(app.name, app.services, backends, region=app.primary_region, log=self._log)

    async def __aenter__(self) -> Self:
        """Open every socket; Machines stay as created."""
        async with AsyncExitStack() as stack:
            await self._serve_names(stack)
            await self._serve_machines(stack)
            for app in self.topology.apps:
                await self._serve_app(app, stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every socket; Machines are left to whoever owns their ground."""
        await self._stack.aclose()

    def view(self) -> View:
        """Return what the names of the network answer from, as it is now."""
        if self._view is None:
            self._view = View({app.name: self._record(app) for app in self.topology.apps})
        return self._view

    def status(self) -> dict[str, Any]:
        """Return apps and Machines as JSON values."""
        return {
            "schema_version": 1,
            "apps": [{"name": app.name, "flycast_ip": app.flycast_ip} for app in self.topology.apps],
            "machines": [
                {
                    "id": plan.machine_id,
                    "app": plan.app_name,
                    "region": plan.region,
                    "state": str(self.machines[plan.machine_id].state),
                    "load": self.proxies[plan.app_name].load(plan.machine_id),
                    "starts": self.machines[plan.machine_id].starts,
                    "private_ip": plan.private_ip,
                }
                for plan in self.topology.machines
            ],
        }

    async def command(self, verb: str, machine_id: str) -> MachineState:
        """Start, stop or suspend a Machine and return its state; raise `LabError` when that cannot be."""
        machine = self.machines.get(machine_id)
        if machine is None:
            raise LabError(f"no Machine {machine_id!r}; there are: {', '.join(self.machines)}")
        match verb:
            case "start":
                await machine.start()
            case "stop":
                await machine.stop()
            case "suspend":
                if machine.state in {MachineState.CREATED, MachineState.STOPPED, MachineState.STOPPING}:
                    raise LabError(f"Machine {machine_id} is {machine.state}; only a started one can be suspended")
                await machine.suspend()
            case _:
                raise LabError(f"expected start, stop or suspend, got {verb!r}")
        return machine.state

    async def deploy(self) -> list[str]:
        """Start every Machine as a deploy does; return a warning for each that is not reachable.

        The autostop passes begin when it is over: before, a Machine that does not listen yet would look idle.
        """
        found = await asyncio.gather(*(deploy(app, self.machines) for app in self.topology.apps))
        self._stack.callback(asyncio.create_task(self._autostop()).cancel)
        return [warning for warnings in found for warning in warnings]

    async def stop_machines(self, within_seconds: float) -> None:
        """Stop every running Machine, giving all of them together `within_seconds`."""
        stops = [asyncio.create_task(machine.stop()) for machine in self.machines.values()]
        if stops:
            _, late = await asyncio.wait(stops, timeout=within_seconds)
            for task in late:
                task.cancel()

    async def _serve_names(self, stack: AsyncExitStack) -> None:
        server = NameServer(self.view, self._log, random.Random())  # noqa: S311 - only spreads the load
        stack.push_async_callback(server.close)
        for address in NAMESERVERS:
            await server.serve(*self._ground.listen_as_nameserver(address))

    async def _serve_machines(self, stack: AsyncExitStack) -> None:
        for machine in self.machines.values():
            listener = self._ground.listen_inside(machine.plan)
            if listener is not None:
                stack.callback((await MachineApi(machine).serve(listener)).close)

    async def _serve_app(self, app: AppPlan, stack: AsyncExitStack) -> None:
        proxy = self.proxies[app.name]
        stack.push_async_callback(proxy.close)
        for service in app.services:
            for port, entry in served_ports(service):
                for address in filter(None, (app.flycast_ip, app.public_ip)):
                    await proxy.serve(self._ground.listen_at_edge(address, port), service, entry)

    async def _autostop(self) -> None:
        interval = self._options.autostop_interval_seconds
        async with asyncio.TaskGroup() as group:
            for app in self.topology.apps:
                machines = [self.machines[plan.machine_id] for plan in app.machines]
                group.create_task(keep_stopping(app, machines, self.proxies[app.name], interval, self._log))

    def _record(self, app: AppPlan) -> AppRecord:
        machines = tuple(
            MachineRecord(
                plan.machine_id,
                plan.region,
                plan.process_group,
                plan.private_ip,
                self.machines[plan.machine_id].state is MachineState.STARTED,
            )
            for plan in app.machines
        )
        return AppRecord(app.name, app.flycast_ip, machines, app.public_ip)

    def _machine_changed(self, plan: MachinePlan) -> None:
        self._view = None
        if self.machines[plan.machine_id].state is MachineState.SUSPENDED:
            self.proxies[plan.app_name].cut(plan.machine_id)
