"""Time a cold start of the service against a bare aiohttp app, in one run: `python -m tests.bench.boot [ROUNDS]`.

Both are fresh processes, taken in turn so that a busy machine is unfair to neither; medians, and their ratios.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEADLINE_SECONDS = 20.0
RETRY_SECONDS = 0.0005
BARE = """
import sys
from aiohttp import web
async def healthz(request):
    return web.Response(text="ok\\n")
web_app = web.Application()
web_app.router.add_get("/healthz", healthz)
web.run_app(web_app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
"""


@contextmanager
def reserved_port() -> Iterator[int]:
    """Keep a port from every other program: who sets SO_REUSEADDR may still bind it, while nobody listens."""
    with socket.socket(socket.AF_INET6) as holder:
        holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("::", 0))
        yield int(holder.getsockname()[1])


def connected(port: int) -> socket.socket:
    """Return a connection to `port`, as soon as there can be one."""
    give_up_s = time.perf_counter() + DEADLINE_SECONDS
    while time.perf_counter() < give_up_s:
        connection = socket.socket()
        connection.settimeout(DEADLINE_SECONDS)
        if connection.connect_ex(("127.0.0.1", port)) == 0:
            return connection
        connection.close()
        time.sleep(RETRY_SECONDS)  # a refused caller has nothing to wait on
    raise TimeoutError(f"expected a listener on port {port} within {DEADLINE_SECONDS} s, got none")


def accept(port: int) -> None:
    """Connect."""
    connected(port).close()


def hello(port: int) -> None:
    """Connect and read the greeting."""
    with connected(port) as connection:
        while connection.recv(100):
            pass


def first_200(port: int) -> None:
    """Connect, ask and read the first answer."""
    with connected(port) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
    if not answer.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(f"expected 200, got {answer[:60]!r}")


def cold_ms(command: list[str], environ: dict[str, str], port: int, until: Callable[[int], None]) -> float:
    """Return milliseconds from exec until `until(port)` returns."""
    started_s = time.perf_counter()
    with subprocess.Popen(
        command, env=os.environ | environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            until(port)
            return (time.perf_counter() - started_s) * 1000
        finally:
            process.kill()


def bare(until: Callable[[int], None]) -> float:
    """Time the bare aiohttp app."""
    with reserved_port() as port:
        return cold_ms([sys.executable, "-c", BARE, str(port)], {}, port, until)


def ours(until: Callable[[int], None]) -> float:
    """Time the service."""
    with reserved_port() as port, reserved_port() as hello_port:
        environ = {"PORT": str(port), "HELLO_PORT": str(hello_port)}
        command = [sys.executable, "-m", "private_svc"]
        return cold_ms(command, environ, hello_port if until is hello else port, until)


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    cases: dict[str, Callable[[], float]] = {
        "bare aiohttp: exec -> accept": partial(bare, accept),
        "bare aiohttp: exec -> first 200": partial(bare, first_200),
        "private_svc: exec -> accept": partial(ours, accept),
        "private_svc: exec -> hello": partial(ours, hello),
        "private_svc: exec -> first 200": partial(ours, first_200),
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, measure in cases.items():
            elapsed_ms = measure()
            if number:  # the first round compiles and warms the page cache
                times[name].append(elapsed_ms)
    median = {name: statistics.median(values) for name, values in times.items()}
    for name, value in median.items():
        print(f"{name:<34} {value:7.1f} ms")
    listening, answered, *mine = median.values()
    for name, value, peer, target in zip(
        ("accept", "hello", "first 200"), mine, (listening, listening, answered), (0.15, 0.5, 1.0), strict=True
    ):
        print(f"exec -> {name:<26} {value / peer:7.2f} of bare aiohttp, target {target}")


if __name__ == "__main__":
    main()
