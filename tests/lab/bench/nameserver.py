"""Ways to measure the name server, which is a process of its own, on the server's core.

The peer is dnspython alone, which parses a query, makes a response with one address and renders it.  The client asks
over UDP: as fast as answers come, or at a steady rate, counting what is lost.  "No two alike": every query spells its
name in other letters, so that no kept answer serves it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import select
import socket
import time
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import dns.message
import dns.rrset

from lab.names import MachineRecord, View
from lab.nameserver import NameServer
from tests.bench import cores
from tests.bench.row import BenchError, Pair
from tests.shell.scripted_dns import same_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

NAMES = (
    "shop.internal",
    "shop.flycast",
    "vms.shop.internal",
    "top2.nearest.of.shop.internal",
    "148e1.vm.shop.internal",
)
WINDOW = 32
STEADY_PER_SECOND = 5000
TICK_SECONDS = 0.002
PATIENCE_SECONDS = 1.0
START_SECONDS = 20.0
SAMPLE_SECONDS = 1.0


def view() -> View:
    """Return a network of one app with four Machines."""
    machines = tuple(
        MachineRecord(f"148e{n}", "ams", f"fdaa:0:18:a7b:{n}::2", {"fly_process_group": "app"}, started=True)
        for n in range(1, 5)
    )
    return View({"shop": machines}, {"shop": "fdaa:0:18:0:1::2"}, {}, {}, "ams", "fdaa:0:18::3")


def peer(seconds: float) -> float:
    """Return how many queries a second dnspython alone parses, answers and renders."""
    wire = dns.message.make_query("shop.internal", "AAAA").to_wire()
    count, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        response = dns.message.make_response(dns.message.from_wire(wire))
        response.answer.append(dns.rrset.from_text("shop.internal.", 5, "IN", "AAAA", "fdaa:0:18:a7b:1::2"))
        response.to_wire()
        count += 1
    return count / seconds


def serve(ready: Connection) -> None:
    """Answer until killed; tell the port first."""

    async def live() -> None:
        udp, tcp = same_port()
        now = view()
        server = NameServer(lambda: now, lambda *_, **__: None, random.Random(1))  # noqa: S311 - only spreads the load
        await server.serve(udp, tcp)
        ready.send(tcp.getsockname()[1])
        await asyncio.Event().wait()

    asyncio.run(live())


def queries() -> list[bytes]:
    """Return one query a name, without its id."""
    return [dns.message.make_query(name, "TXT" if name.startswith("vms") else "AAAA").to_wire()[2:] for name in NAMES]


class Client:
    """Sends numbered queries and counts the answers."""

    def __init__(self, port: int, *, alike: bool) -> None:
        self._alike = alike
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._socket.connect(("127.0.0.1", port))
        self._queries = queries()
        self.sent = self.answered = 0

    def close(self) -> None:
        """Send and receive no more."""
        self._socket.close()

    def send(self) -> None:
        """Send the next query."""
        query = self._queries[self.sent % len(self._queries)]
        if not self._alike:
            query = bytes(_other_case(byte, self.sent >> place & 1) for place, byte in enumerate(query))
        self._socket.send((self.sent & 0xFFFF).to_bytes(2) + query)
        self.sent += 1

    def receive(self, timeout_seconds: float) -> bool:
        """Take the answers that are there, waiting for the first; tell whether there was one."""
        if not select.select([self._socket], [], [], timeout_seconds)[0]:
            return False
        while True:
            try:
                self._socket.recv(2048, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return True
            self.answered += 1


def _other_case(byte: int, change: int) -> int:
    return byte ^ 0x20 if change and chr(byte).isalpha() else byte


def as_fast_as_it_can(port: int, seconds: float) -> float:
    """Keep some queries under way; return answers a second."""
    with closing(Client(port, alike=True)) as client:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            while client.sent - client.answered < WINDOW:
                client.send()
            if not client.receive(PATIENCE_SECONDS):
                raise BenchError(f"expected answers, got none for {PATIENCE_SECONDS} s")
        return client.answered / seconds


def lost_at_a_steady_rate(port: int, seconds: float) -> float:
    """Send at a steady rate, no two alike, whatever comes back; return how many were never answered."""
    with closing(Client(port, alike=False)) as client:
        began = time.perf_counter()
        while (passed := time.perf_counter() - began) < seconds:
            while client.sent < passed * STEADY_PER_SECOND:
                client.send()
            client.receive(TICK_SECONDS)
        return float(_lost(client))


def _lost(client: Client) -> int:
    while client.answered < client.sent and client.receive(PATIENCE_SECONDS):
        pass
    return client.sent - client.answered


@contextmanager
def serving() -> Iterator[int]:
    """Run the name server; yield its port."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    with ours, theirs:
        with cores.on(cores.SERVER):
            server.start()
        try:
            if not ours.poll(START_SECONDS):
                raise BenchError(f"expected the name server within {START_SECONDS} s")
            yield int(ours.recv())
        finally:
            server.kill()
            server.join()
            server.close()


@contextmanager
def rates() -> Iterator[Pair]:
    """Compare the name server with dnspython alone."""
    with serving() as port:
        yield Pair(partial(as_fast_as_it_can, port, SAMPLE_SECONDS), partial(peer, SAMPLE_SECONDS))


@contextmanager
def losses() -> Iterator[Pair]:
    """Count what is lost."""
    with serving() as port:
        yield Pair(partial(lost_at_a_steady_rate, port, SAMPLE_SECONDS))
