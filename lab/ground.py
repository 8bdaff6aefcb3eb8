"""Machines in namespaces: how the lab spawns one, and how its proxy dials one over IPv4."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lab import namespaces as ns
from lab.errors import LabError
from lab.freezer import freeze, thaw
from lab.output import LineReader
from lab.ownroot import FLY_DIRECTORY
from lab.rootfs import FLY_SOCKETS, etc_files
from lab.topology import NAMESERVER, PROXY_IPV4

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lab.children import Children
    from lab.launcher import Launcher
    from lab.machine import Process
    from lab.topology import MachinePlan, Network
    from lab.wire import Wiring

_BACKLOG = 4096
_IP_BIND_ADDRESS_NO_PORT = 24  # the port is chosen at connect: more connections than ports


class MachineProcess:
    """The init of a Machine, or a program executed in one."""

    def __init__(self, pid: int, exit_status: asyncio.Future[int], output: LineReader | None = None) -> None:
        """Keep the `pid` as the lab sees it, the future of its exit status, and who reads what it prints."""
        self.pid = pid
        self._exit_status = exit_status
        self._output = output

    def send(self, signal_number: int) -> None:
        """Send a signal; nothing happens when the process has ended."""
        if not self._exit_status.done():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.Signals(signal_number))

    async def suspend(self) -> None:
        """Stop it and every process beside it in its pid namespace."""
        if not self._exit_status.done():
            await freeze(self.pid)

    def resume(self) -> None:
        """Let them all go on."""
        if not self._exit_status.done():
            thaw(self.pid)

    async def ended(self) -> int:
        """Wait for the end and the last line it printed; return the exit status."""
        status = await asyncio.shield(self._exit_status)
        if self._output is not None:
            await asyncio.shield(self._output.ended)  # soon: with pid 1 every writer is dead
        return status


class NamespaceGround:
    """The lab proper: every Machine has its own namespaces, every socket is made in the right one."""

    def __init__(self, launcher: Launcher, wiring: Wiring, children: Children) -> None:
        """Use the network `wiring` and start processes through `launcher`."""
        self._launcher = launcher
        self._wiring = wiring
        self._children = children
        self._told_of_shared = False

    async def spawn(self, plan: MachinePlan, on_output: Callable[[str], None]) -> MachineProcess:
        """Start a Machine: its init, and under it the planned program."""
        read, write = os.pipe2(os.O_CLOEXEC)
        try:
            pid, exit_status = await self._children.adopt(
                self._launcher.start(
                    plan.machine_id,
                    plan.argv,
                    plan.env,
                    directory=plan.directory,
                    files=etc_files(plan, NAMESERVER),
                    network=self._wiring.machines[plan.machine_id],
                    output=write,
                    image=plan.image,
                )
            )
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(write)
        self._tell_of_shared(on_output)
        if plan.argv and plan.image is None:
            exit_status.add_done_callback(lambda _: self._launcher.prepare())  # what stops is likely to be woken
        return MachineProcess(pid, exit_status, LineReader(read, on_output))

    def _tell_of_shared(self, on_output: Callable[[str], None]) -> None:
        if self._launcher.shared and not self._told_of_shared:
            self._told_of_shared = True
            where = ", ".join(self._launcher.shared)
            on_output(
                f"lab: no overlay of {where} can be had here: what Machines write there is kept, and is the host's"
            )

    async def execute(
        self,
        machine: Process,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        directory: str,
        streams: Sequence[int],
        terminal: bool = False,
        on_internet: bool = False,
    ) -> MachineProcess:
        """Run a program inside a running Machine, on three given descriptors; or on the internet's host.

        With `terminal` the descriptors are a terminal that becomes its own.
        """
        network = self._wiring.internet if on_internet else None
        launch = self._launcher.execute(
            machine.pid, argv, env, directory=directory, streams=streams, terminal=terminal, network=network
        )
        return MachineProcess(*await self._children.adopt(launch))

    def dial(self, plan: MachinePlan, port: int) -> socket.socket:
        """Return a socket of Fly's host side: the Machine sees a peer in 172.16.0.0/12."""
        del port  # the router of its network reaches every port of a Machine
        return self._dial_from(PROXY_IPV4, plan)

    def dial_as_check(self, plan: MachinePlan) -> socket.socket:
        """Return a socket of the Machine's gateway: the app sees a peer in its own 172.19 subnet."""
        return self._dial_from(plan.gateway_ipv4, plan)

    def _dial_from(self, address: str, plan: MachinePlan) -> socket.socket:
        with ns.inside(self._wiring.routers[plan.network]):
            connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        connection.bind((address, 0))
        return connection

    def endpoint(self, plan: MachinePlan, port: int) -> tuple[str, int]:
        """Return the Machine's private IPv4 address and `port`."""
        return plan.ipv4, port

    def listen_at_edge(self, address: str, port: int) -> socket.socket:
        """Return a listening socket on a Flycast or public address."""
        with ns.inside(self._wiring.edges[address]):
            return socket.create_server((address, port), family=socket.AF_INET6, backlog=_BACKLOG)

    def listen_inside(self, plan: MachinePlan) -> socket.socket | None:
        """Return the listening unix socket that is `/.fly/api` in the Machine, for its root alone."""
        if not Path(FLY_DIRECTORY).is_dir():
            return None
        directory = FLY_SOCKETS / plan.machine_id
        directory.mkdir(parents=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(directory / "api"))
        (directory / "api").chmod(0o600)
        listener.listen()
        return listener

    async def impair(self, plan: MachinePlan, *, delay_ms: float, loss_percent: float) -> None:
        """Delay and lose packets to and from a Machine, each way; raise `LabError` where the kernel has no netem."""
        from lab.wire.netlink import PEER_INDEX  # noqa: PLC0415 - heavy, and only this fault needs it here

        ends = (
            (self._wiring.routers[plan.network], self._wiring.ports[plan.machine_id]),
            (self._wiring.machines[plan.machine_id], PEER_INDEX),
        )
        for namespace, index in ends:
            # pyroute2 runs a loop of its own, and a namespace is a thread's
            await asyncio.to_thread(_impair, namespace, index, int(delay_ms * 1000), loss_percent)

    def listen_as_nameserver(self, network: Network, address: str) -> tuple[socket.socket, socket.socket]:
        """Return the UDP and the listening TCP socket of the nameserver at `address` of `network`."""
        with ns.inside(self._wiring.routers[network]):
            udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            tcp = socket.create_server((address, 53), family=socket.AF_INET6, backlog=_BACKLOG)
        udp.bind((address, 53))
        return udp, tcp


def _impair(namespace: int, index: int, delay_us: int, loss_percent: float) -> None:
    from pyroute2 import IPRoute, NetlinkError  # noqa: PLC0415 - heavy, and only this fault needs it here

    try:
        with ns.inside(namespace), IPRoute() as netlink:
            netlink.tc("add", "netem", index, delay=delay_us, loss=loss_percent)
    except NetlinkError as error:
        wanted = "expected a kernel with sch_netem (CONFIG_NET_SCH_NETEM)"
        raise LabError(f"--fault far-delay and far-loss: {wanted}, got: {os.strerror(error.code)}") from None
