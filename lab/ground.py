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
from lab.freezer import freeze, thaw
from lab.output import LineReader
from lab.ownroot import FLY_DIRECTORY
from lab.rootfs import FLY_SOCKETS, etc_files
from lab.topology import NAMESERVERS, PROXY_IPV4

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lab.children import Children
    from lab.launcher import Launcher
    from lab.machine import Process
    from lab.topology import MachinePlan
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
                    files=etc_files(plan, NAMESERVERS[0]),
                    network=self._wiring.machines[plan.machine_id],
                    output=write,
                )
            )
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(write)
        return MachineProcess(pid, exit_status, LineReader(read, on_output))

    async def execute(
        self,
        machine: Process,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        directory: str,
        streams: Sequence[int],
        on_internet: bool = False,
    ) -> MachineProcess:
        """Run a program inside a running Machine, on three given descriptors; or on the internet's host."""
        network = self._wiring.internet if on_internet else None
        launch = self._launcher.execute(machine.pid, argv, env, directory=directory, streams=streams, network=network)
        return MachineProcess(*await self._children.adopt(launch))

    def dial(self, plan: MachinePlan, port: int) -> socket.socket:
        """Return a socket of Fly's host side: the Machine sees a peer in 172.16.0.0/12."""
        del plan, port  # one router reaches every Machine and port
        with ns.inside(self._wiring.router):
            connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        connection.bind((PROXY_IPV4, 0))
        return connection

    def endpoint(self, plan: MachinePlan, port: int) -> tuple[str, int]:
        """Return the Machine's private IPv4 address and `port`."""
        return plan.ipv4, port

    def listen_at_edge(self, address: str, port: int) -> socket.socket:
        """Return a listening socket on a Flycast address."""
        with ns.inside(self._wiring.edge):
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

    def listen_as_nameserver(self, address: str) -> tuple[socket.socket, socket.socket]:
        """Return the UDP and the listening TCP socket of the nameserver at `address`."""
        with ns.inside(self._wiring.router):
            udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            tcp = socket.create_server((address, 53), family=socket.AF_INET6, backlog=_BACKLOG)
        udp.bind((address, 53))
        return udp, tcp
