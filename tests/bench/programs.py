"""The servers that are measured: ours and its peers, each a process of its own on the server's core."""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import asking, cores
from tests.bench.row import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.bench.asking import Until

PROJECT = Path(__file__).resolve().parents[2]
PEERS = Path(__file__).parent / "peers"
DEADLINE_SECONDS = 20.0
_RETRY_SECONDS = 0.0005

BARE_AIOHTTP = (sys.executable, str(PEERS / "bare_aiohttp.py"))
BARE_AIOHTTP_AS_APP = "tests.bench.peers.bare_aiohttp:make"
SERVICE = (sys.executable, "-m", "private_svc")
COMPILED = {"PYTHONDONTWRITEBYTECODE": ""}


@contextmanager
def reserved_port() -> Iterator[int]:
    """Keep a port from every other program: who sets SO_REUSEADDR may still bind it, while nobody listens."""
    with socket.socket(socket.AF_INET6) as holder:
        holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("::", 0))
        yield int(holder.getsockname()[1])


@cache
def service_directory() -> Path:
    """Make a directory with the service as the image has it, beside the project: on the same disk as its libraries."""
    (PROJECT / "build").mkdir(exist_ok=True)
    directory = tempfile.TemporaryDirectory(dir=PROJECT / "build")
    atexit.register(directory.cleanup)
    shutil.copytree(PROJECT / "private_svc", Path(directory.name, "private_svc"))
    making = (sys.executable, "-m", "private_svc.make_bundle")
    subprocess.run(
        making, env={**os.environ, **COMPILED}, cwd=directory.name, capture_output=True, text=True, check=True
    )
    return Path(directory.name)


def started(command: Sequence[str], environ: Mapping[str, str], cwd: Path = PROJECT) -> subprocess.Popen[bytes]:
    """Start a program on the server's core; with its byte code, as in the image, once the warm-up has written that."""
    with cores.on(cores.SERVER):
        return subprocess.Popen(
            command,
            env={**os.environ, **COMPILED, **environ},
            cwd=cwd,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@contextmanager
def running(
    command: Sequence[str],
    port: int,
    environ: Mapping[str, str] | None = None,
    until: Until = asking.answered,
    cwd: Path = PROJECT,
) -> Iterator[int]:
    """Run a server until the block ends; yield its process id once `until` has what it wants of it."""
    process = started(command, environ or {}, cwd)
    try:
        with connected(port, process) as connection:
            until(connection)
        yield process.pid
    finally:
        process.kill()
        process.wait(DEADLINE_SECONDS)


def connected(port: int, process: subprocess.Popen[bytes]) -> socket.socket:
    """Return a connection to `port` as soon as `process` listens there; raise BenchError when it never does."""
    give_up_s = time.perf_counter() + DEADLINE_SECONDS
    while time.perf_counter() < give_up_s and process.poll() is None:
        connection = socket.socket()
        connection.settimeout(DEADLINE_SECONDS)
        if connection.connect_ex(("127.0.0.1", port)) == 0:
            return connection
        connection.close()
        time.sleep(_RETRY_SECONDS)  # a refused caller has nothing to wait on
    ended = "is running" if process.returncode is None else f"ended with status {process.returncode}"
    raise BenchError(f"expected a listener on port {port}, got none; {process.args!r} {ended}")


@contextmanager
def service_ports() -> Iterator[dict[str, int]]:
    """Reserve what the service binds; the names are its variables."""
    with reserved_port() as port, reserved_port() as hello_port, reserved_port() as metrics_port:
        yield {"PORT": port, "HELLO_PORT": hello_port, "METRICS_PORT": metrics_port}


@contextmanager
def service(settings: dict[str, str] | None = None) -> Iterator[tuple[int, dict[str, int]]]:
    """Run the service; yield its process id and its ports."""
    with service_ports() as ports:
        environ = environ_of(ports) | (settings or {})
        with running(SERVICE, ports["PORT"], environ, cwd=service_directory()) as pid:
            yield pid, ports


def environ_of(ports: Mapping[str, int]) -> dict[str, str]:
    """Return the variables that give the service its ports."""
    return {name: str(port) for name, port in ports.items()}


@contextmanager
def bare_aiohttp(*options: str) -> Iterator[tuple[int, int]]:
    """Run the bare aiohttp app; yield its process id and port."""
    with reserved_port() as port, running((*BARE_AIOHTTP, str(port), *options), port) as pid:
        yield pid, port


@contextmanager
def nginx() -> Iterator[int]:
    """Run one nginx process, which answers from its configuration; yield its port."""
    with reserved_port() as port, tempfile.TemporaryDirectory() as directory:
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "".join(f"{kind}_temp_path {directory}/{kind};" for kind in kinds)
        config = Path(directory, "nginx.conf")
        config.write_text(
            f"daemon off; master_process off; pid {directory}/pid; error_log stderr crit; events {{}}"
            f" http {{ access_log off; keepalive_requests 100000000; {temporary}"
            f' server {{ listen 127.0.0.1:{port} backlog=1024; location / {{ return 200 "ok\\n"; }} }} }}'
        )
        with running(("nginx", "-p", directory, "-c", str(config)), port):
            yield port


@contextmanager
def compiled(name: str) -> Iterator[str]:
    """Compile a C program of `peers/`; yield its path."""
    with tempfile.TemporaryDirectory() as directory:
        program = str(Path(directory, name))
        command = ["cc", "-O2", "-o", program, str(PEERS / f"{name}.c")]
        subprocess.run(command, check=True, stderr=subprocess.PIPE, text=True, timeout=DEADLINE_SECONDS)
        yield program


@contextmanager
def hello_server() -> Iterator[tuple[int, int]]:
    """Run the C server; yield its process id and port."""
    with ExitStack() as stack:
        program = stack.enter_context(compiled("hello_server"))
        port = stack.enter_context(reserved_port())
        yield stack.enter_context(running((program, str(port)), port, until=asking.greeted)), port


def cpu_seconds(pid: int) -> float:
    """Return how much processor time a process of one thread has had."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def resident_mib(pid: int) -> float:
    """Return how much memory a process has resident."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024
