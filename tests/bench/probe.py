"""Rows of the probe: how far its phases are from curl's and from the truth, in the worst phase."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.bench import cores
from tests.bench.phases import TRUTH_MS, Phases
from tests.bench.programs import PROJECT
from tests.bench.row import BenchError, Better, Compared, Pair, Row

if TYPE_CHECKING:
    from collections.abc import Iterator

_COMMAND = (sys.executable, "-m", "tests.bench.phases")
_DEADLINE_SECONDS = 60.0


def timed() -> dict[str, Phases]:
    """Have one request timed by the probe and by curl; raise BenchError where that cannot be."""
    with cores.on(*cores.ALL):
        done = subprocess.run(
            _COMMAND, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=_DEADLINE_SECONDS
        )
    if done.returncode:
        raise BenchError(f"expected namespaces with a TUN device, got: {(done.stderr.strip() or '?').splitlines()[-1]}")
    phases: dict[str, Phases] = json.loads(done.stdout)
    return phases


def worst_ms(one: Phases, other: Phases) -> float:
    """Return how far apart they are in the phase in which they are farthest apart."""
    return max(abs(one[name] - other[name]) for name in TRUTH_MS)


@contextmanager
def off_curl() -> Iterator[Pair]:
    """Compare the probe with curl."""

    def sample() -> float:
        by = timed()
        return worst_ms(by["probe"], by["curl"])

    yield Pair(sample)


@contextmanager
def off_truth() -> Iterator[Pair]:
    """Compare the probe, and curl, with the truth."""
    yield Pair(lambda: worst_ms(timed()["probe"], TRUTH_MS), lambda: worst_ms(timed()["curl"], TRUTH_MS))


_NEEDS = ("curl", "ip", "unshare")
ROWS = (
    Row("probe-curl", "probe off `curl -w`, worst phase", "ms", "", Compared.ALONE, Better.LESS, 2.0, off_curl, _NEEDS),
    Row(
        "probe-truth", "probe off the truth, worst phase", "ms", "curl off the truth",
        Compared.ALONE, Better.LESS, 2.0, off_truth, _NEEDS,
    ),
)  # fmt: skip
