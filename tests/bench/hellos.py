"""Rows of the raw hello port: how many a second, at what cost, and how they end.

The client is `peers/hello_client.c` on the client's core.  On loopback the kernel does most of a connection's work on
the core that sends, so at four connections the client is the limit; `hello-cpu` does not depend on it.
"""

from __future__ import annotations

import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tests.bench import programs
from tests.bench.row import BenchError, Better, Compared, Pair, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

ONE, MANY = 1, 4  # connections at a time; the C server's backlog takes no more
SAMPLE_MS = 1000
_DEADLINE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Hellos:
    """One sample: how many ended how, and what processor time the server took for it."""

    clean: int
    resets: int
    others: int
    seconds: float
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


@dataclass(frozen=True, slots=True)
class Asking:
    """A client for one server."""

    client: str
    pid: int
    port: int

    def ask(self, connections: int = MANY, *, speak: bool = False) -> Hellos:
        """Take one sample; with `speak` the client speaks first."""
        command = [self.client, str(self.port), str(connections), str(SAMPLE_MS), *(["speak"] if speak else [])]
        before_seconds = programs.cpu_seconds(self.pid)
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_DEADLINE_SECONDS)
        clean, resets, others, seconds = done.stdout.split()
        if not int(clean):
            raise BenchError(f"expected hellos, got none: {done.stdout}")
        server_cpu_seconds = programs.cpu_seconds(self.pid) - before_seconds
        return Hellos(int(clean), int(resets), int(others), float(seconds), server_cpu_seconds)


@contextmanager
def both() -> Iterator[tuple[Asking, Asking]]:
    """Run the service and the C server."""
    with ExitStack() as stack:
        client = stack.enter_context(programs.compiled("hello_client"))
        service, ports = stack.enter_context(programs.service())
        c_server, port = stack.enter_context(programs.hello_server())
        yield Asking(client, service, ports["HELLO_PORT"]), Asking(client, c_server, port)


@contextmanager
def rates(connections: int) -> Iterator[Pair]:
    """Compare hellos a second."""
    with both() as (ours, peer):
        yield Pair(lambda: ours.ask(connections).per_second, lambda: peer.ask(connections).per_second)


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


def _row(name: str, title: str, target: float | None, measure: Callable[[], AbstractContextManager[Pair]]) -> Row:
    return Row(name, title, "/s", "C server", Compared.RATIO, Better.MORE, target, measure, ("cc",))


ROWS = (
    _row("hello-1", "hellos, one connection at a time", 0.8, partial(rates, ONE)),
    _row("hello-4", "hellos, four connections at a time", 1.0, partial(rates, MANY)),
    _row("hello-cpu", "hellos a second of the server's CPU time, four connections at a time", None, costs),
    Row(
        "hello-clean", "clean closes when the client speaks first", "%", "C server",
        Compared.ALONE, Better.MORE, 100.0, endings, ("cc",),
    ),
)  # fmt: skip
