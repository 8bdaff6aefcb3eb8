"""The lab's proxy alone, on loopback, in front of a server that is somewhere else: `python -m tests.lab.bench.proxy`.

usage: python -m tests.lab.bench.proxy PORT SERVER_PORT, until killed.  As a row it is measured beside nginx as the
proxy of the same server; both proxies share a core with the client, the server has its own.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lab.proxy.app import AppProxy
from lab.states import MachineState
from shell.flytoml import Concurrency, Port, Service
from tests.bench import cores, programs, wrk
from tests.bench.row import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECTIONS = 32


class RunningMachine:
    """A started Machine on loopback."""

    machine_id = "148e000000bench"
    region = "ams"
    process_group = "app"
    state = MachineState.STARTED

    def __init__(self, port: int) -> None:
        self._port = port

    def serves(self, _port: int) -> bool:
        """Have no failing check."""
        return True

    async def start(self) -> None:
        """Be started."""

    async def settled(self) -> None:
        """Be settled."""

    async def exited(self) -> None:
        """Run for ever."""
        await asyncio.get_running_loop().create_future()

    def dial(self, _port: int) -> socket.socket:
        """Return a plain socket."""
        sock = socket.socket()
        sock.setblocking(False)
        return sock

    def endpoint(self, _port: int) -> tuple[str, int]:
        """Return where the small server listens."""
        return "127.0.0.1", self._port


async def run_proxy(listener: socket.socket, server_port: int) -> None:
    """Serve the proxy for ever."""
    port = Port(80, 80, ("http",))
    service = Service(8080, ports=(port,), concurrency=Concurrency("requests", 200, 250))
    machine = RunningMachine(server_port)
    proxy = AppProxy("bench", [service], [machine], region="ams", log=lambda *_, **__: None)
    await proxy.serve(listener, service, port)
    await asyncio.get_running_loop().create_future()


@contextmanager
def lab_proxy(server_port: int) -> Iterator[int]:
    """Run the lab's proxy beside the client; yield its port."""
    with programs.reserved_port() as port:
        command = (sys.executable, "-m", "tests.lab.bench.proxy", str(port), str(server_port))
        with programs.running(command, port, core=cores.CLIENT):
            yield port


@contextmanager
def nginx_proxy(server_port: int) -> Iterator[int]:
    """Run nginx as a proxy beside the client, with kept connections to the server; yield its port."""
    location = 'proxy_pass http://bench; proxy_http_version 1.1; proxy_set_header Connection "";'
    upstream = f"upstream bench {{ server 127.0.0.1:{server_port}; keepalive {CONNECTIONS}; }}"
    with programs.nginx(location, upstream, core=cores.CLIENT) as port:
        yield port


@contextmanager
def beside_nginx() -> Iterator[Pair]:
    """Load a trivial nginx through each."""
    with programs.nginx(programs.TRIVIAL) as server, lab_proxy(server) as ours, nginx_proxy(server) as peer:
        yield Pair(
            lambda: wrk.load(ours, "/", CONNECTIONS).per_second, lambda: wrk.load(peer, "/", CONNECTIONS).per_second
        )


def main(arguments: list[str]) -> None:
    """Serve until killed."""
    port, server_port = (int(each) for each in arguments)
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    listener.setblocking(False)
    asyncio.run(run_proxy(listener, server_port))


if __name__ == "__main__":
    main(sys.argv[1:])
