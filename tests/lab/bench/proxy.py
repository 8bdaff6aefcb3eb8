"""Warm requests through the lab proxy against the same server direct, alternating, in one run.

Run `python -m tests.lab.bench.proxy`. The server, the proxy and the clients are processes of their own.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import socket
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from lab.proxy.app import AppProxy
from lab.states import MachineState
from shell.flytoml import Concurrency, Port, Service

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import ForkProcess

ROUNDS = 5
ROUND_SECONDS = 1.5
CONNECTIONS = 32
REQUEST = b"GET / HTTP/1.1\r\nHost: bench.flycast\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"


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


async def run_server(listener: socket.socket) -> None:
    """Serve a bare aiohttp app with one route for ever."""

    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello\n")

    web_app = web.Application()
    web_app.router.add_get("/", hello)
    runner = web.AppRunner(web_app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listener, backlog=1024).start()
    await asyncio.get_running_loop().create_future()


async def run_proxy(listener: socket.socket, server_port: int) -> None:
    """Serve the proxy for ever."""
    port = Port(80, 80, ("http",))
    service = Service(8080, ports=(port,), concurrency=Concurrency("requests", 200, 250))
    machine = RunningMachine(server_port)
    proxy = AppProxy("bench", [service], [machine], region="ams", log=lambda *_, **__: None)
    await proxy.serve(listener, service, port)
    await asyncio.get_running_loop().create_future()


class Client(asyncio.Protocol):
    """Sends one request after another on one connection."""

    def __init__(self) -> None:
        self.count = 0
        self.times: list[float] = []
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Count a complete response and send the next request."""
        self._received += data
        if self._received.endswith(b"\r\n\r\nhello\n"):
            self.times.append(time.perf_counter() - self._sent)
            self.count += 1
            self._received = b""
            self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self.transport.write(REQUEST)


async def measure(port: int, connections: int, seconds: float) -> tuple[float, float]:
    """Return requests a second and the median response time in ms."""
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    pairs = [await loop.create_connection(Client, "127.0.0.1", port) for _ in range(connections)]
    await asyncio.sleep(seconds)
    elapsed = time.perf_counter() - began
    clients = [client for _, client in pairs]
    for transport, _ in pairs:
        transport.abort()
    times = [each for client in clients for each in client.times]
    return sum(client.count for client in clients) / elapsed, statistics.median(times) * 1000


def cpu_seconds(process: ForkProcess) -> float:
    """Return how much processor time a process has had: on a busy machine a steadier figure than the clock's."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def fork(run: Callable[[], object]) -> ForkProcess:
    """Run in a process of its own."""
    process = multiprocessing.get_context("fork").Process(target=run, daemon=True)
    process.start()
    return process


def listen() -> socket.socket:
    """Return a listening socket on a free port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setblocking(False)
    return listener


def main() -> int:
    """Print the figures of one run."""
    server_listener, proxy_listener = listen(), listen()
    ports = {"direct": server_listener.getsockname()[1], "proxy": proxy_listener.getsockname()[1]}
    processes = [
        fork(lambda: asyncio.run(run_server(server_listener))),
        fork(lambda: asyncio.run(run_proxy(proxy_listener, ports["direct"]))),
    ]
    rates: dict[str, list[float]] = {"direct": [], "proxy": []}
    medians: dict[str, list[float]] = {"direct": [], "proxy": []}
    proxied_requests, cpu = 0.0, 0.0
    try:
        for _ in range(ROUNDS):
            for name, port in ports.items():
                before = cpu_seconds(processes[1])
                rates[name].append(asyncio.run(measure(port, CONNECTIONS, ROUND_SECONDS))[0])
                if name == "proxy":
                    cpu += cpu_seconds(processes[1]) - before
                    proxied_requests += rates[name][-1] * ROUND_SECONDS
                medians[name].append(asyncio.run(measure(port, 1, ROUND_SECONDS / 3))[1])
    finally:
        for process in processes:
            process.kill()
            process.join()
    direct, proxied = statistics.median(rates["direct"]), statistics.median(rates["proxy"])
    one, through = statistics.median(medians["direct"]), statistics.median(medians["proxy"])
    print(f"requests/s, {CONNECTIONS} connections: direct {direct:.0f}, proxy {proxied:.0f}")
    print(f"ratio {proxied / direct:.2f} (at least 0.4)")
    print(f"processor time of the proxy a request: {cpu / proxied_requests * 1e6:.0f} µs")
    print(f"p50, one connection: direct {one:.3f} ms, proxy {through:.3f} ms")
    print(f"added {through - one:.3f} ms (at most 0.4)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
