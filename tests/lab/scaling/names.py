"""The name server with so many names, in a process of its own (`python -m tests.lab.scaling.names KIND COUNT`).

Each name is asked in turn over UDP, in a shuffled order, so that no name is asked twice before all were.
"""

from __future__ import annotations

import asyncio
import json
import random
import select
import socket
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dns.message
import dns.rcode

from tests.lab.scaling.processes import cpu_seconds, status_mb
from tests.lab.scaling.series import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.names import View

COUNTS = (1, 3, 10, 30, 100, 300, 1000, 2000, 3000, 5000, 10000)
FIGURES = (
    Figure("up_ms", "laid out, ms", 2, noise=1),
    Figure("memory_mb", "name server, MiB", 1, noise=0.5),
    Figure("machines_first_us", "a Machine's name, first time, µs", 0, noise=500, each=True),
    Figure("machines_again_us", "a Machine's name, again, µs", 0, noise=100, each=True),
    Figure("apps_first_us", "an app's name, first time, µs", 0, noise=500, each=True),
    Figure("apps_again_us", "an app's name, again, µs", 0, noise=100, each=True),
    Figure("per_second", "Machines' names, again, a second", 0, of_rounds=max),
    Figure("all_ms", "all addresses of the app, ms", 1, noise=1),
    Figure("refused", "that refused", 0),
    Figure("lost", "lost", 0, of_rounds=max),
)
ASK_SECONDS = 1.0
WINDOW = 32
PATIENCE_SECONDS = 10.0
TIMES_ALL = 5
_RCODE_AT, _RCODE = 3, 0xF


def name_of(kind: str, number: int) -> str:
    """Return a name of a Machine, or of an app."""
    return f"{number:014x}.vm.shop.internal" if kind == "machines" else f"app-{number}.internal"


def lay_out(kind: str, count: int) -> View:
    """Return a network with `count` Machines: all of one app, or of an app each."""
    from lab.names import MachineRecord, View  # noqa: PLC0415 - the server's, not the client's

    machines = [
        MachineRecord(f"{n:014x}", "ams", f"fdaa:0:18:a7b:{n:x}::2", {"fly_process_group": "app"}, started=True)
        for n in range(count)
    ]
    apps = {"shop": tuple(machines)} if kind == "machines" else {f"app-{n}": (m,) for n, m in enumerate(machines)}
    return View(apps, {}, {}, {machine.private_ip: "ams" for machine in machines}, "ams", "fdaa:0:18::3")


async def serve(kind: str, count: int) -> None:
    """Answer until killed; tell the port and how long the names took first."""
    from lab.nameserver import NameServer  # noqa: PLC0415 - likewise

    began = time.perf_counter()
    view = lay_out(kind, count)
    took_ms = (time.perf_counter() - began) * 1000
    tcp = socket.create_server(("127.0.0.1", 0))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(tcp.getsockname())
    await NameServer(lambda: view, lambda *_, **__: None, random.Random(1)).serve(udp, tcp)  # noqa: S311 - spreads load
    print(json.dumps({"port": tcp.getsockname()[1], "up_ms": took_ms}), flush=True)
    await asyncio.Event().wait()


def measure(count: int) -> dict[str, float]:
    """Ask for `count` Machines of one app, and for `count` apps."""
    with _server("machines", count) as (pid, port, up_ms):
        machines = _ask_in_turns("machines", pid, port, count)
        refused, all_ms = _ask_for_all_addresses(pid, port)
        memory_mb = status_mb(pid, "VmRSS")
    with _server("apps", count) as (pid, port, _):
        apps = _ask_in_turns("apps", pid, port, count)
    return {
        "up_ms": up_ms,
        "memory_mb": memory_mb,
        "machines_first_us": machines.first_us,
        "machines_again_us": machines.again_us,
        "apps_first_us": apps.first_us,
        "apps_again_us": apps.again_us,
        "per_second": machines.per_second,
        "all_ms": all_ms,
        "refused": refused,
        "lost": machines.lost + apps.lost,
    }


@contextmanager
def _server(kind: str, count: int) -> Iterator[tuple[int, int, float]]:
    command = [sys.executable, "-m", "tests.lab.scaling.names", kind, str(count)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    with server:
        try:
            told = json.loads(server.stdout.readline())
            yield server.pid, told["port"], told["up_ms"]
        finally:
            server.kill()


@dataclass(frozen=True, slots=True)
class _Asked:
    """The server's CPU time for a query, in the first turn and in later ones, and how those went."""

    first_us: float
    again_us: float
    per_second: float
    lost: int


def _ask_in_turns(kind: str, pid: int, port: int, count: int) -> _Asked:
    """Ask every name once, then again and again."""
    queries = [dns.message.make_query(name_of(kind, number), "AAAA").to_wire()[2:] for number in range(count)]
    random.Random(count).shuffle(queries)  # noqa: S311 - the same order in every run
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        asker.connect(("127.0.0.1", port))
        started_s = cpu_seconds(pid)
        lost = _turn(asker, queries)
        turned_s, began_s, turns = cpu_seconds(pid), time.perf_counter(), 0
        while not turns or time.perf_counter() - began_s < ASK_SECONDS:
            lost += _turn(asker, queries)
            turns += 1
        took_s, used_s = time.perf_counter() - began_s, cpu_seconds(pid) - turned_s
    again = turns * count
    return _Asked((turned_s - started_s) / count * 1e6, used_s / again * 1e6, again / took_s, lost)


def _turn(asker: socket.socket, queries: list[bytes]) -> int:
    """Ask every query once, some under way at a time; return how many answers did not come."""
    sent = answered = 0
    while answered < len(queries):
        for query in queries[sent : answered + WINDOW]:
            asker.send((sent & 0xFFFF).to_bytes(2) + query)
            sent += 1
        if not select.select([asker], [], [], PATIENCE_SECONDS)[0]:
            return sent - answered
        answered += _received(asker)
    return 0


def _received(asker: socket.socket) -> int:
    answers = 0
    while True:
        try:
            asker.recv(2048, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return answers
        answers += 1


def _ask_for_all_addresses(pid: int, port: int) -> tuple[float, float]:
    """Ask for all addresses of the app over TCP; return whether that was refused, and the server's CPU time in ms."""
    question = dns.message.make_query("shop.internal", "AAAA").to_wire()
    times_ms, refused = [], False
    for _ in range(TIMES_ALL):
        with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as asker, asker.makefile("rb") as answers:
            started_s = cpu_seconds(pid)
            asker.send(len(question).to_bytes(2) + question)
            answer = answers.read(int.from_bytes(answers.read(2)))
            times_ms.append((cpu_seconds(pid) - started_s) * 1000)
        refused = refused or answer[_RCODE_AT] & _RCODE != dns.rcode.NOERROR
    return float(refused), statistics.median(times_ms)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
