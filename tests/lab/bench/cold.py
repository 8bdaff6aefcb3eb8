"""A thousand cold starts in one lab, as `tests.e2e.cold_starts` does them, and what went wrong."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.bench import cores
from tests.bench.row import BenchError, Pair
from tests.e2e.cold_starts import WARM_UP_CYCLES, measure

if TYPE_CHECKING:
    from collections.abc import Iterator

CYCLES = 1000


@contextmanager
def starts() -> Iterator[Pair]:
    """Count the faults, over HTTP."""
    with cores.on(*cores.ALL):
        yield Pair(_faults)


def _faults() -> float:
    try:
        return float(len(measure(CYCLES, "http", WARM_UP_CYCLES).faults))
    except AssertionError as error:
        raise BenchError(str(error)) from None
