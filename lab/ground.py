"""Machines in namespaces: how the lab spawns one, and how its proxy dials one over IPv4."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import struct
import termios
from contextlib import suppress
from typing import TYPE_CHECKING

from lab import namespaces as ns
from lab.errors import LabError
from lab.freezer import freeze, thaw
from lab.output import LineReader
from lab.processes import directory
from lab.start import etc, ids, root
from lab.topology import NAMESERVER, PROXY_IPV4

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lab.children import Children
    from lab.start.launcher import Launcher
    from lab.topology import MachinePlan, Network
    from lab.wire import Wiring

_BACKLOG = 4096
_UNLOCK_TERMINAL, _OTHER_END = 0x40045431, 0x5441  # TIOCSPTLCK, TIOCGPTPEER
_IP_BIND_ADDRESS_NO_PORT = 24  # the port is chosen at connect: more connections than ports


class MachineProcess:
    """The init of a Machine, or a program executed in one."""

    def __init__(
        self,
        pid: int,
        exit_status: asyncio.Future[int],
        output: LineReader | None = None,
        *,
        users: int | None = None,
        plan: MachinePlan | None = None,
    ) -> None:
        """Keep the `pid` as the lab sees it, the future of its exit status, and who reads what it prints.

        `users` is the user namespace of the Machine whose init it is.  `plan` is given for a Machine that is a
        boundary, as a shell Machine is not.
        """
        self.pid = pid
        self.users = users
        self.plan = plan
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
        self._told: set[str] = set()
        self._owner = ids.of_machines().root

    async def spawn(self, plan: MachinePlan, on_output: Callable[[str], None]) -> MachineProcess:
        """Start a Machine: its init, and under it the planned program."""
        read, write = os.pipe2(os.O_CLOEXEC)
        told: list[str] = []

        async def launch() -> int:
            pid, differences = await self._launcher.start(
                plan.machine_id,
                plan.argv,
                plan.env,
                directory=plan.directory,
                files=etc.machine_files(plan, NAMESERVER),
                own=self._wiring.machines[plan.machine_id],
                output=write,
                memory_mb=plan.memory_mb,
                installations=plan.installations,
                image=plan.image,
            )
            told.extend(differences)
            return pid

        try:
            pid, exit_status = await self._children.adopt(launch())
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(write)
        for difference in told:
            if difference not in self._told:
                self._told.add(difference)
                on_output(f"lab: {difference}")
        if plan.image is None:
            exit_status.add_done_callback(lambda _: self._launcher.prepare())  # what stops is likely to be woken
        users = self._wiring.machines[plan.machine_id].users
        return MachineProcess(pid, exit_status, LineReader(read, on_output), users=users, plan=plan)

    async def spawn_shell(self, plan: MachinePlan) -> MachineProcess:
        """Start the init of a shell Machine; what is done there, `execute` does."""
        null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            files = etc.machine_files(plan, NAMESERVER)
            own = self._wiring.machines[plan.machine_id]
            launch = self._launcher.start_shell(plan.machine_id, files=files, own=own, output=null)
            return MachineProcess(*await self._children.adopt(launch), users=own.users)
        finally:
            os.close(null)

    async def execute(
        self,
        machine: MachineProcess,
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
        plan = machine.plan
        launch = self._launcher.execute(
            machine.pid, argv, env, directory=directory, streams=streams, terminal=terminal,
            network=self._wiring.internet if on_internet else None,
            users=machine.users,
            memory_mb=plan.memory_mb if plan else None,
        )  # fmt: skip
        return MachineProcess(*await self._children.adopt(launch))

    def open_terminal(self, machine: MachineProcess, size: tuple[int, int]) -> tuple[int, int]:
        """Return the two ends of a terminal that is one of the Machine's own: ours, and that of a program there.

        `size` is in lines and columns.
        """
        ours = os.open(f"{directory(machine.pid)}/root/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(ours, _UNLOCK_TERMINAL, struct.pack("i", 0))
            termios.tcsetwinsize(ours, size)
            its: int = fcntl.ioctl(ours, _OTHER_END, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            os.close(ours)
            raise
        os.fchown(its, *self._owner)
        return ours, its

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
        directory = root.SOCKETS / plan.machine_id
        directory.mkdir(parents=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(directory / "api"))
        (directory / "api").chmod(0o600)
        os.chown(directory / "api", *self._owner)
        listener.listen()
        return listener

    async def impair(self, plan: MachinePlan, *, delay_ms: float, loss_percent: float) -> None:
        """Delay and lose packets to and from a Machine, each way; raise `LabError` where the kernel has no netem."""
        from lab.wire.netlink import PEER_INDEX  # noqa: PLC0415 - heavy, and only this fault needs it here

        ends = (
            (self._wiring.routers[plan.network], self._wiring.ports[plan.machine_id]),
            (self._wiring.machines[plan.machine_id].network, PEER_INDEX),
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
