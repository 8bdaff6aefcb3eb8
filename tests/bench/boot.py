"""Rows of a cold start: from exec until something answers, each a fresh process.

A cold page cache is what a Machine starts with. Only root can drop it, and what the benchmark itself has mapped stays:
Python, for both.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import programs
from tests.bench.asking import accepted, answered, greeted
from tests.bench.row import BenchError, Better, Compared, Pair, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from tests.bench.asking import Until

DROP_CACHES = Path("/proc/sys/vm/drop_caches")  # proc(5): 1 drops the page cache, and no other


def cold_ms(command: Sequence[str], environ: Mapping[str, str], cwd: Path, port: int, until: Until) -> float:
    """Return milliseconds from exec until `until` has what it wants of a connection to `port`."""
    began_s = time.perf_counter()
    process = programs.started(command, environ, cwd=cwd)
    try:
        with programs.connected(port, process) as connection:
            until(connection)
        return (time.perf_counter() - began_s) * 1000
    finally:
        process.kill()
        process.wait(programs.DEADLINE_SECONDS)


def bare(until: Until) -> float:
    """Time the bare aiohttp app."""
    with programs.reserved_port() as port:
        return cold_ms((*programs.BARE_AIOHTTP, str(port)), {}, programs.PROJECT, port, until)


def ours(until: Until, listener: str) -> float:
    """Time the service."""
    directory = programs.service_directory()
    with programs.service_ports() as ports:
        return cold_ms(programs.SERVICE, programs.environ_of(ports), directory, ports[listener], until)


def with_cold_cache(time_ms: Callable[[], float]) -> float:
    """Time a start that finds nothing in the page cache; raise BenchError where it cannot be dropped."""
    os.sync()  # what is not yet on the disk would stay
    try:
        DROP_CACHES.write_text("1\n")
    except OSError as error:
        raise BenchError(f"only root of the host can drop the page cache: {error}") from None
    return time_ms()


@contextmanager
def turns(until: Until, listener: str, peer_until: Until) -> Iterator[Pair]:
    """Take the service and the bare app in turn."""
    yield Pair(partial(ours, until, listener), partial(bare, peer_until))


@contextmanager
def cold_turns() -> Iterator[Pair]:
    """Take the service and the bare app in turn, each with a cold page cache."""
    programs.service_directory()  # made now, not between the drop and the start
    yield Pair(
        partial(with_cold_cache, partial(ours, answered, "PORT")), partial(with_cold_cache, partial(bare, answered))
    )


def _row(name: str, title: str, target: float, peer: str, measure: Callable[[], AbstractContextManager[Pair]]) -> Row:
    peer = f"bare aiohttp, exec → {peer}"
    return Row(name, f"exec → {title}", "ms", peer, Compared.RATIO, Better.LESS, target, measure)


ROWS = (
    _row("boot-accept", "connection accepted", 0.15, "listening", partial(turns, accepted, "PORT", accepted)),
    _row("boot-hello", "hello received", 0.5, "listening", partial(turns, greeted, "HELLO_PORT", accepted)),
    _row("boot-200", "first /healthz 200", 0.8, "first 200", partial(turns, answered, "PORT", answered)),
    _row("boot-200-cold-cache", "first /healthz 200, with a cold page cache", 0.7, "first 200", cold_turns),
)
