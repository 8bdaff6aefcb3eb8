"""Rows of the probe: how far its phases are from curl's, in the worst phase, and how soon its one file answers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tests.bench import cores
from tests.bench.phases import TRUTH_MS, Phases
from tests.bench.programs import PROJECT
from tests.bench.row import BenchError, Better, Compared, Pair, Row
from tests.shell.scripted_dns import ScriptedDns, records

if TYPE_CHECKING:
    from collections.abc import Iterator

_COMMAND = (sys.executable, "-m", "tests.bench.phases")
_DEADLINE_SECONDS = 60.0
_NAME = "shop.flycast"


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
def archive() -> Iterator[Pair]:
    """Time what `just pyz` makes, on a python3 without packages: from exec until one name is looked up."""
    with TemporaryDirectory() as directory, ScriptedDns() as nameserver:
        file = str(Path(directory, "flycast-probe.pyz"))
        subprocess.run([sys.executable, "-m", "shell.archive", file], cwd=PROJECT, capture_output=True, check=True)
        nameserver.script[_NAME, "AAAA"] = records("AAAA", "fdaa:0:18:0:1::2")
        command = [sys.executable, "-I", "-S", file, "names", _NAME, f"--dns={nameserver.server}"]

        def sample() -> float:
            began_s = time.perf_counter()
            with cores.on(cores.SERVER):
                subprocess.run(command, capture_output=True, check=True, timeout=_DEADLINE_SECONDS)
            return (time.perf_counter() - began_s) * 1000

        yield Pair(sample)


ROWS = (
    Row(
        "probe-phases", "probe off `curl -w`, worst phase", "ms", "",
        Compared.ALONE, Better.LESS, 2.0, off_curl, ("curl", "ip", "unshare"),
    ),
    Row(
        "probe-archive", "the one-file probe on a bare python3, exec → a name looked up", "ms", "",
        Compared.ALONE, Better.LESS, 400.0, archive,
    ),
)  # fmt: skip
