"""The lab as a whole: Machines, nameservers, proxies and autostop of every private network, on some ground."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any, Self

from lab.autostop import keep_stopping
from lab.background import Background
from lab.clock import LATE_FOR_SECONDS, WallClock, build, with_clock
from lab.crash import crash_mid_request
from lab.deploy import deploy
from lab.directory import Directory
from lab.dns_faults import FaultySocket
from lab.errors import LabError
from lab.faults import switch, switched_on
from lab.health import keep_checking
from lab.machine import Machine
from lab.machine_api import MachineApi
from lab.memory import keep_within_memory
from lab.nameserver import NameServer
from lab.proxy.app import AppProxy
from lab.services import served_ports, unreachable
from lab.start.root import SOCKETS
from lab.states import FALLING_ASLEEP, MachineState

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from lab.cli import LabOptions
    from lab.log import EventLog
    from lab.machine import Ground
    from lab.topology import AppPlan, MachinePlan, Network, Topology

GRACE_SECONDS = 0.5  # what Machines get to finish when the whole lab goes


class Lab:
    """Every private network, up from `async with` to its end."""

    def __init__(self, topology: Topology, ground: Ground, log: EventLog, options: LabOptions) -> None:
        """Make every Machine and proxy; nothing listens or runs yet."""
        self.topology = topology
        self._ground = ground
        self._log = log
        self._options = options
        self._clocks: dict[str, WallClock] = {}
        self._crashes: list[asyncio.Task[None]] = []
        self._stack = AsyncExitStack()
        self.background = Background(log)
        self.machines = {
            plan.machine_id: Machine(
                replace(plan, env=with_clock(plan.env)) if options.faults.clock_jump_seconds else plan,
                app,
                ground,
                log,
                self.background,
                boot_ms=options.boot_ms,
                faults=options.faults,
                on_change=partial(self._machine_changed, plan),
            )
            for app in topology.apps
            for plan in app.machines
        }
        plans = (*topology.shells, *topology.machines)
        self._regions = {str(IPv6Address(plan.private_ip)): plan.region for plan in plans}
        self.directory = Directory(topology, self._regions, self._is_started, options.faults, log)
        self.proxies: dict[str, AppProxy] = {}
        neighbours: defaultdict[Network, dict[str, AppProxy]] = defaultdict(dict)
        for app in topology.apps:
            neighbours[app.network][app.name] = self.proxies[app.name] = self._make_proxy(app, neighbours[app.network])

    def _make_proxy(self, app: AppPlan, network: Mapping[str, AppProxy]) -> AppProxy:
        backends = [self.machines[plan.machine_id] for plan in app.machines]
        return AppProxy(
            app.name,
            app.services,
            backends,
            region=app.primary_region,
            log=self._log,
            regions=self._regions,
            network=network,
        )

    async def __aenter__(self) -> Self:
        """Open every socket; Machines stay as created."""
        async with AsyncExitStack() as stack:
            self.background.watch_loop()
            await self._serve_names(stack)
            await self._serve_machines(stack)
            self._give_clocks()
            await self._impair_far_machines()
            self._keep_watch()
            for app in self.topology.apps:
                await self._serve_app(app, stack)
            stack.push_async_callback(self.background.close)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every socket; Machines are left to whoever owns their ground."""
        await self._stack.aclose()

    def status(self) -> dict[str, Any]:
        """Return apps and Machines as JSON values."""
        return {
            "schema_version": 1,
            "apps": [
                {
                    "name": app.name,
                    "organisation": app.network.name,
                    "flycast_ip": app.flycast_ip,
                    "flycast_in": app.flycast_network.name,
                }
                for app in self.topology.apps
            ],
            "machines": [
                {
                    "id": plan.machine_id,
                    "app": plan.app_name,
                    "organisation": plan.network.name,
                    "process_group": plan.process_group,
                    "region": plan.region,
                    "state": str(self.machines[plan.machine_id].state),
                    "load": self.proxies[plan.app_name].load(plan.machine_id),
                    "starts": self.machines[plan.machine_id].starts,
                    "checks": self.machines[plan.machine_id].health.summary(),
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

    def switch_faults(self, texts: Sequence[str]) -> list[str]:
        """Switch faults on or off and return those that are on then; raise `UsageError` when that cannot be."""
        faults = self._options.faults
        switch(faults, texts)
        self.directory.faults_changed()
        self._end_crashes()
        self._let_apps_crash()
        if texts:
            self._log("lab", f"faults on now: {', '.join(switched_on(faults)) or 'none'}", level="warn")
        return switched_on(faults)

    async def deploy(self) -> None:
        """Tell what a lab leaves out and who cannot be reached, then start every Machine as a deploy does."""
        apps = self.topology.apps
        for app in apps:  # before anything starts: an app may crash of what is left out
            for hint in (*app.left_out, *unreachable(app.name, app.services)):
                self._log("lab", hint, level="warn")
        await asyncio.gather(*(deploy(app, self.machines, self._log) for app in apps))

    def begin_autostop(self) -> None:
        """Begin the autostop passes; before the end of a deploy, a Machine that does not listen yet would look idle."""
        for app in self.topology.apps:
            machines = [self.machines[plan.machine_id] for plan in app.machines]
            interval = self._options.autostop_interval_seconds
            passes = keep_stopping(app, machines, self.proxies[app.name], interval, self._log)
            self.background.keep(f"autostop of app {app.name}", passes)

    async def stop_machines(self, within_seconds: float) -> None:
        """Stop every running Machine, giving all of them together `within_seconds`."""
        do = self.background.do
        stops = [do(f"the stop of machine {name}", machine.stop()) for name, machine in self.machines.items()]
        if stops:
            _, late = await asyncio.wait(stops, timeout=within_seconds)
            for task in late:
                task.cancel()

    async def _serve_names(self, stack: AsyncExitStack) -> None:
        for network in self.topology.networks:
            rng = random.Random()  # noqa: S311 - spreads the load, and chooses what gets lost
            server = NameServer(self.directory.of(network), self._log, rng)
            stack.push_async_callback(server.close)
            for address in network.nameservers:
                udp, tcp = self._ground.listen_as_nameserver(network, address)
                await server.serve(FaultySocket(udp, self._options.faults, rng, self._log), tcp)

    def _keep_watch(self) -> None:
        """Begin what goes on beside the proxies for as long as the lab is up."""
        self.background.keep("the watch over memory", keep_within_memory(self.machines.values(), self._log))
        for name, machine in self.machines.items():
            for check in machine.plan.checks:
                checking = keep_checking(machine, check, self._ground, self._log)
                self.background.keep(f"the health check on port {check.port} of machine {name}", checking)
        self._let_apps_crash()

    def _let_apps_crash(self) -> None:
        """Begin to kill busy apps, if that fault is on."""
        if self._options.faults.crash_mid_request_ms:
            self._crashes = [
                self.background.keep(
                    f"the fault crash-mid-request of machine {plan.machine_id}", self._crash(app, plan)
                )
                for app in self.topology.apps
                for plan in app.machines
            ]

    def _end_crashes(self) -> None:
        for crash in self._crashes:
            crash.cancel()
        self._crashes = []

    def _crash(self, app: AppPlan, plan: MachinePlan) -> Coroutine[None, None, None]:
        load = partial(self.proxies[app.name].load, plan.machine_id)
        ports = {service.internal_port for service in app.services}
        after_ms = self._options.faults.crash_mid_request_ms
        return crash_mid_request(self.machines[plan.machine_id], load, ports, after_ms, self._log)

    async def _impair_far_machines(self) -> None:
        delay_ms, loss = self._options.faults.far_delay_ms, self._options.faults.far_loss_percent
        if delay_ms or loss:
            for app in self.topology.apps:
                for plan in app.machines:
                    if plan.region != app.primary_region:
                        await self._ground.impair(plan, delay_ms=delay_ms, loss_percent=loss)
                        said = f"fault: packets take {delay_ms:g}ms longer, and {loss:g}% of them are lost, each way"
                        self._log("lab", said, machine_id=plan.machine_id, region=plan.region, level="warn")

    def _give_clocks(self) -> None:
        late_seconds = self._options.faults.clock_jump_seconds
        if late_seconds:
            library = build(self.topology.machines)
            self._clocks = {name: WallClock(SOCKETS / name, library, late_seconds) for name in self.machines}

    async def _serve_machines(self, stack: AsyncExitStack) -> None:
        for machine in self.machines.values():
            listener = self._ground.listen_inside(machine.plan)
            if listener is not None:
                stack.callback((await MachineApi(machine, self._log).serve(listener)).close)

    async def _serve_app(self, app: AppPlan, stack: AsyncExitStack) -> None:
        proxy = self.proxies[app.name]
        stack.push_async_callback(proxy.close)
        for service in app.services:
            for port, entry in served_ports(service):
                for address in filter(None, (app.flycast_ip, app.public_ip)):
                    await proxy.serve(self._ground.listen_at_edge(address, port), service, entry)

    def _is_started(self, machine_id: str) -> bool:
        return self.machines[machine_id].state is MachineState.STARTED

    def _machine_changed(self, plan: MachinePlan) -> None:
        self.directory.changed()
        state, proxy = self.machines[plan.machine_id].state, self.proxies[plan.app_name]
        clock = self._clocks.get(plan.machine_id)
        if clock is not None and clock.follow(state):
            said = f"fault clock-jump: the wall clock is {clock.late_seconds:g}s late, for {LATE_FOR_SECONDS:g}s"
            self._log("lab", said, machine_id=plan.machine_id, region=plan.region, level="warn")
        if state in FALLING_ASLEEP:
            proxy.release(plan.machine_id)
        elif state is MachineState.SUSPENDED:
            proxy.cut(plan.machine_id)
