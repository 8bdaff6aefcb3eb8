"""The HTTP load: wrk, one thread on the client's core, keep-alive, each connection one request at a time."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

from tests.bench.row import BenchError

SECONDS = 1  # of a sample; wrk takes whole seconds
DEADLINE_SECONDS = 20.0
_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk measured."""

    requests: int
    per_second: float
    p50_ms: float


def command(url: str, connections: int) -> list[str]:
    """Return the command of one sample."""
    return ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--latency", url]


def load(port: int, path: str, connections: int) -> Load:
    """Load a server on this host for one sample; raise BenchError when a request failed."""
    url = f"http://127.0.0.1:{port}{path}"
    done = subprocess.run(
        command(url, connections), capture_output=True, text=True, check=True, timeout=DEADLINE_SECONDS
    )
    return read(done.stdout)


def read(report: str) -> Load:
    """Read what wrk prints; raise BenchError when a request failed or nothing was measured."""
    bad = re.search(r"Non-2xx or 3xx responses: \d+|Socket errors: .*", report)
    requests, per_second = re.search(r"(\d+) requests in", report), re.search(r"Requests/sec:\s+([\d.]+)", report)
    p50 = re.search(r"50%\s+([\d.]+)(us|ms|s)\b", report)
    if bad or requests is None or per_second is None or p50 is None or not int(requests[1]):
        raise BenchError(f"expected every request answered, got {bad[0] if bad else report!r}")
    return Load(int(requests[1]), float(per_second[1]), float(p50[1]) * _MS[p50[2]])
