"""Rows of the raw hello port: how many a second, at what cost, and how they end.

The client is `peers/hello_client.c` on the client's core.  On loopback the kernel does most of a connection's work on
the core that sends, so the client is often the limit: `hello-ceiling` tells how near it is (1 = it is the limit), and
`hello-cpu` has a figure that does not depend on it.
"""

from __future__ import annotations

import resource
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.bench import programs
from tests.bench.row import BenchError, Better, Compared, Pair, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

CONNECTIONS = 4  # what the C server's backlog takes
SAMPLE_MS = 1000
_DEADLINE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Hellos:
    """One sample: how many ended how, and what processor time both sides took for it."""

    clean: int
    resets: int
    others: int
    seconds: float
    client_cpu_seconds: float
    server_cpu_seconds: float

    @property
    def per_second(self) -> float:
        """Return how many a second ended cleanly."""
        return self.clean / self.seconds

    @property
    def clean_percent(self) -> float:
        """Return how many of a hundred ended cleanly."""
        return 100 * self.clean / (self.clean + self.resets + self.others)

    @property
    def per_server_cpu_second(self) -> float:
        """Return how many a second the server would give, were nothing else the limit."""
        return self.clean / self.server_cpu_seconds

    @property
    def per_client_cpu_second(self) -> float:
        """Return how many a second the client would take, were nothing else the limit."""
        return self.clean / self.client_cpu_seconds


@dataclass(frozen=True, slots=True)
class Asking:
    """A client for one server."""

    client: str
    pid: int
    port: int

    def ask(self, *, speak: bool = False) -> Hellos:
        """Take one sample; with `speak` the client speaks first."""
        command = [self.client, str(self.port), str(CONNECTIONS), str(SAMPLE_MS), *(["speak"] if speak else [])]
        server_before, client_before = programs.cpu_seconds(self.pid), _children_seconds()
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_DEADLINE_SECONDS)
        clean, resets, others, seconds = done.stdout.split()
        if not int(clean):
            raise BenchError(f"expected hellos, got none: {done.stdout}")
        client_cpu, server_cpu = _children_seconds() - client_before, programs.cpu_seconds(self.pid) - server_before
        return Hellos(int(clean), int(resets), int(others), float(seconds), client_cpu, server_cpu)


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def both() -> Iterator[tuple[Asking, Asking]]:
    """Run the service and the C server."""
    with ExitStack() as stack:
        client = stack.enter_context(programs.compiled("hello_client"))
        service, ports = stack.enter_context(programs.service())
        c_server, port = stack.enter_context(programs.hello_server())
        yield Asking(client, service, ports["HELLO_PORT"]), Asking(client, c_server, port)


@contextmanager
def rates() -> Iterator[Pair]:
    """Compare hellos a second."""
    with both() as (ours, peer):
        yield Pair(lambda: ours.ask().per_second, lambda: peer.ask().per_second)


@contextmanager
def costs() -> Iterator[Pair]:
    """Compare hellos a second of the server's processor time."""
    with both() as (ours, peer):
        yield Pair(lambda: ours.ask().per_server_cpu_second, lambda: peer.ask().per_server_cpu_second)


@contextmanager
def endings() -> Iterator[Pair]:
    """Compare how hellos end when the client speaks first."""
    with both() as (ours, peer):
        yield Pair(lambda: ours.ask(speak=True).clean_percent, lambda: peer.ask(speak=True).clean_percent)


@contextmanager
def ceiling() -> Iterator[Pair]:
    """Compare what the client could take with what it did take of the C server."""
    with both() as (_, peer):
        yield Pair(lambda: peer.ask().per_client_cpu_second, lambda: peer.ask().per_second)


def _row(
    name: str,
    title: str,
    target: float | None,
    measure: Callable[[], AbstractContextManager[Pair]],
    peer: str = "C server",
) -> Row:
    return Row(name, title, "/s", peer, Compared.RATIO, Better.MORE, target, measure, ("cc",))


ROWS = (
    _row("hello", f"hellos, {CONNECTIONS} connections at a time", 0.7, rates),
    _row("hello-cpu", "hellos a second of the server's CPU time", None, costs),
    _row("hello-ceiling", "hellos a second of the client's CPU time", None, ceiling, "its rate against the C server"),
    Row(
        "hello-clean", "clean closes when the client speaks first", "%", "C server",
        Compared.ALONE, Better.MORE, 100.0, endings, ("cc",),
    ),
)  # fmt: skip
