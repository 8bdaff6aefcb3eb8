"""Rows of a cold start: from exec until something answers, each a fresh process."""

from __future__ import annotations

import os
import select
import sys
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from tests.bench import programs
from tests.bench.asking import accepted, answered, greeted
from tests.bench.row import BenchError, Better, Compared, Pair, Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.bench.asking import Until


# As the service imports it: nobody looks for garbage, nobody loads certificates.
IMPORT_ALONE = """
import gc, os
gc.disable()
from private_svc import authorities
with authorities.awaited():
    import aiohttp.web
os._exit(0)
"""


def cold_ms(command: Sequence[str], environ: Mapping[str, str], port: int, until: Until) -> float:
    """Return milliseconds from exec until `until` has what it wants of a connection to `port`."""
    began_s = time.perf_counter()
    process = programs.started(command, environ)
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
        return cold_ms((*programs.BARE_AIOHTTP, str(port)), {}, port, until)


def ours(until: Until, listener: str) -> float:
    """Time the service."""
    with programs.service_ports() as ports:
        return cold_ms(programs.SERVICE, programs.environ_of(ports), ports[listener], until)


@contextmanager
def turns(until: Until, listener: str, peer_until: Until) -> Iterator[Pair]:
    """Take the service and the bare app in turn."""
    yield Pair(partial(ours, until, listener), partial(bare, peer_until))


def imported_ms() -> float:
    """Return milliseconds from exec until aiohttp.web is imported: no service that is built on it is quicker."""
    began_s = time.perf_counter()
    with programs.started((sys.executable, "-c", IMPORT_ALONE), {}) as process:
        ended = os.pidfd_open(process.pid)  # `wait` with a deadline looks only now and then
        select.select([ended], [], [], programs.DEADLINE_SECONDS)
        os.close(ended)
        took_ms = (time.perf_counter() - began_s) * 1000
        process.kill()
    if process.returncode:
        raise BenchError(f"expected aiohttp.web to be imported, got status {process.returncode}")
    return took_ms


@contextmanager
def floor() -> Iterator[Pair]:
    """Take the import alone and the bare app in turn."""
    yield Pair(imported_ms, partial(bare, answered))


def _row(name: str, title: str, target: float, until: Until, listener: str, peer_until: Until) -> Row:
    peer = f"bare aiohttp, exec → {'first 200' if peer_until is answered else 'listening'}"
    measure = partial(turns, until, listener, peer_until)
    return Row(name, f"exec → {title}", "ms", peer, Compared.RATIO, Better.LESS, target, measure)


ROWS = (
    _row("boot-accept", "connection accepted", 0.15, accepted, "PORT", accepted),
    _row("boot-hello", "hello received", 0.5, greeted, "HELLO_PORT", accepted),
    _row("boot-200", "first /healthz 200", 1.0, answered, "PORT", answered),
    Row(
        "boot-floor",
        "exec → aiohttp.web imported, nothing else",
        "ms",
        "bare aiohttp, exec → first 200",
        Compared.RATIO,
        Better.LESS,
        None,
        floor,
    ),
)
