"""The row of memory: resident after one answer, each a fresh process."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.bench import programs
from tests.bench.row import Better, Compared, Pair, Row

if TYPE_CHECKING:
    from collections.abc import Iterator


def ours() -> float:
    """Return what the service holds, in MiB."""
    with programs.service() as (pid, _):
        return programs.resident_mib(pid)


def bare() -> float:
    """Return what the bare aiohttp app holds, in MiB."""
    with programs.bare_aiohttp() as (pid, _):
        return programs.resident_mib(pid)


@contextmanager
def turns() -> Iterator[Pair]:
    """Take the service and the bare app in turn."""
    yield Pair(ours, bare)


ROWS = (Row("memory", "resident memory, idle", "MiB", "bare aiohttp", Compared.RATIO, Better.LESS, 1.0, turns),)
