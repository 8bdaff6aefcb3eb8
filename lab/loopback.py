"""The reduced walkthrough for hosts that refuse namespaces: proxy, autostop, wake and probe on 127.0.0.1.

A Machine is a plain process here.  The environment variables of fly.toml that hold a service's internal port
get a free port instead, because all Machines share one loopback.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from lab.demo import PROBE, WAKES
from lab.errors import CommandError, LabError
from lab.exits import shell_status
from lab.namespaces import die_with_parent
from lab.output import LineReader
from lab.streams import printed
from lab.supervisor import GRACE_SECONDS, Lab
from lab.topology import Topology

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.cli import LabOptions
    from lab.log import EventLog
    from lab.topology import MachinePlan, Network

LOOPBACK = "127.0.0.1"
MAPPED_LOOPBACK = "::ffff:127.0.0.1"  # what an AAAA record can say of it
HTTP_PORT = 80
NOT_SHOWN = (
    "fdaa:: addresses, so neither 6PN nor Flycast addresses, ping, nor the dual-stack socket",
    "fdaa::3 as resolver: dig, nslookup and curl by name; the probe is given the nameserver with --dns",
    "the proxy's 172.16 peer address: the service sees loopback",
    "/etc/hosts with fly-local-6pn, Machine host names, isolation between networks",
    "the boundary of a Machine: the app is a plain process of yours, with your files and your network",
)


class LoopbackProcess:
    """A Machine that is one plain process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Keep the process."""
        self._process = process
        self.pid = process.pid

    def send(self, signal_number: int) -> None:
        """Send it a signal; nothing happens when it has ended."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal_number)

    async def suspend(self) -> None:
        """Stop it and what it has started; a session of its own is as much as a plain process has."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGCONT)

    async def ended(self) -> int:
        """Wait for its end; return its exit status, 128 + signal when it was killed."""
        return shell_status(await self._process.wait())


class LoopbackGround:
    """Where Machines are processes and every address is 127.0.0.1 with a port of its own."""

    def __init__(self, topology: Topology) -> None:
        """Reserve a port for every service of every Machine."""
        self._reserved = {
            (machine.machine_id, service.internal_port): _reserve_port()
            for app in topology.apps
            for machine in app.machines
            for service in app.services
        }
        self.edge_ports: dict[tuple[str, int], int] = {}
        self.nameserver_ports: list[int] = []

    async def spawn(self, plan: MachinePlan, on_output: Callable[[str], None]) -> LoopbackProcess:
        """Start the Machine's program with its ports moved."""
        read, write = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *plan.argv,
                env=self._environment(plan),
                cwd=plan.directory,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write,
                stderr=write,
                start_new_session=True,
                preexec_fn=_die_with_the_lab,
            )
        except OSError as error:
            os.close(read)
            raise CommandError(plan.argv[0], error.errno or 0) from error
        finally:
            os.close(write)
        LineReader(read, on_output)
        return LoopbackProcess(process)

    def _environment(self, plan: MachinePlan) -> dict[str, str]:
        ports = [port for machine_id, port in self._reserved if machine_id == plan.machine_id]
        moved = {str(port): str(self.endpoint(plan, port)[1]) for port in ports}
        return {name: moved.get(value, value) for name, value in plan.env.items()}

    def dial(self, plan: MachinePlan, port: int) -> socket.socket:
        """Return an unconnected IPv4 socket."""
        del plan, port
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.setblocking(False)
        return connection

    def dial_as_check(self, plan: MachinePlan) -> socket.socket:
        """Return an unconnected IPv4 socket."""
        return self.dial(plan, 0)

    async def impair(self, plan: MachinePlan, *, delay_ms: float, loss_percent: float) -> None:
        """Refuse: every Machine shares the host's loopback."""
        del delay_ms, loss_percent
        raise LabError(f"loopback has no link of its own for Machine {plan.machine_id}")

    def endpoint(self, plan: MachinePlan, port: int) -> tuple[str, int]:
        """Return where the Machine's internal port really is."""
        return LOOPBACK, self._reserved[plan.machine_id, port].getsockname()[1]

    def listen_at_edge(self, address: str, port: int) -> socket.socket:
        """Return a listening socket that stands for the Flycast `address` and `port`."""
        listener = socket.create_server((LOOPBACK, 0))
        self.edge_ports[address, port] = listener.getsockname()[1]
        return listener

    def listen_inside(self, plan: MachinePlan) -> None:
        """Return nothing: a plain process has the host's root, and that has no room for `/.fly`."""
        del plan

    def listen_as_nameserver(self, network: Network, address: str) -> tuple[socket.socket, socket.socket]:
        """Return a UDP and a TCP socket on one loopback port."""
        del network, address
        tcp = socket.create_server((LOOPBACK, 0))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(tcp.getsockname())
        self.nameserver_ports.append(tcp.getsockname()[1])
        return udp, tcp


def _reserve_port() -> socket.socket:
    """Return a socket that keeps a port from others: bound and not listening, so that a server may still take it.

    Servers set SO_REUSEADDR, and two such sockets may share a port while neither listens.
    """
    family, address = (socket.AF_INET6, "::") if socket.has_dualstack_ipv6() else (socket.AF_INET, "0.0.0.0")
    reserved = socket.socket(family, socket.SOCK_STREAM)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        reserved.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    reserved.bind((address, 0))
    return reserved


def _die_with_the_lab() -> None:
    if sys.platform == "linux":
        die_with_parent(signal.SIGKILL)


async def walk_through(topology: Topology, options: LabOptions, log: EventLog) -> int:
    """Show what loopback can show; return the exit status of the timed wakes."""
    moved = Topology(tuple(replace(app, flycast_ip=MAPPED_LOOPBACK) for app in topology.apps), topology.shells)
    ground = LoopbackGround(moved)
    async with Lab(moved, ground, log, options) as lab:
        try:
            return await lab.background.beside(_deploy_and_show(lab, ground))
        finally:
            await lab.stop_machines(GRACE_SECONDS)


async def _deploy_and_show(lab: Lab, ground: LoopbackGround) -> int:
    await lab.deploy()
    lab.begin_autostop()
    return await _show(lab.topology, ground)


async def _show(topology: Topology, ground: LoopbackGround) -> int:
    app = topology.apps[0]
    http = next((port for (_, port) in ground.edge_ports if port == HTTP_PORT), None)
    print(f"\nReduced walkthrough of app {app.name} on {LOOPBACK}. Not shown here:")
    for missing in NOT_SHOWN:
        print(f"  - {missing}")
    dns = ("--dns", f"{LOOPBACK}:{ground.nameserver_ports[0]}")
    if http is None:
        print(f"app {app.name} has no http service on port {HTTP_PORT}, so there is no wake to time here")
        return 0
    wake = (
        "wake",
        app.name,
        *dns,
        "--port",
        str(ground.edge_ports[MAPPED_LOOPBACK, http]),
        "--count",
        str(WAKES),
    )
    for command in (("names", f"{app.name}.flycast", *dns), wake):
        print(f"\n$ flycast-probe {' '.join(command)}")
        await printed()
        probe = await asyncio.create_subprocess_exec(*PROBE, *command)
        status = await probe.wait()
        if status:
            return status
    return 0
