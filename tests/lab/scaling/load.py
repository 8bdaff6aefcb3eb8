"""The service under so many callers at once, a fresh process for each number."""

from __future__ import annotations

import resource
from functools import partial
from statistics import median

from tests.lab.scaling.callers import Crowd, Errand
from tests.lab.scaling.processes import cpu_seconds, status_mb
from tests.lab.scaling.series import Figure
from tests.private_svc.process import service

COUNTS = (1, 3, 10, 30, 100, 300, 1000, 2000, 3000, 5000, 10000)
FIGURES = (
    Figure("p50_ms", "p50, ms", 2, noise=0.2),
    Figure("p99_ms", "p99, ms", 2, noise=1),
    Figure("per_second", "calls/s", 0, of_rounds=max),
    Figure("cpu_us", "service's CPU, µs", 0, noise=300, each=True),
    Figure("memory_mb", "service's peak, MiB", 1, noise=0.5),
    Figure("errors", "errors", 0, of_rounds=median),
)
FEWEST_CALLS, ROUNDS_OF_CALLS = 3000, 4
DESCRIPTORS_BESIDE = 64
GREET = Errand(b"", b"hello\n")
GET = Errand(b"GET /healthz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n", b"HTTP/1.1 200 ")


def _measure(listener: str, errand: Errand, count: int) -> dict[str, float]:
    with service() as running:
        pid = running.process.pid
        used = cpu_seconds(pid)
        calls = max(FEWEST_CALLS, ROUNDS_OF_CALLS * count)
        tally = Crowd(running.port(listener), errand, count, calls).run()
        if tally.errors:
            print(f"  {count} at once: {dict(tally.errors)}", flush=True)
        return {
            "p50_ms": tally.percentile(50),
            "p99_ms": tally.percentile(99),
            "per_second": calls / tally.seconds,
            "cpu_us": (cpu_seconds(pid) - used) / calls * 1e6,
            "memory_mb": status_mb(pid, "VmHWM"),
            "errors": tally.errors.total(),
        }


hellos = partial(_measure, "hello", GREET)
requests = partial(_measure, "admin", GET)


def most() -> tuple[int, str]:
    """Use all descriptors the host grants; return how many callers at once that allows, and what limits it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard - DESCRIPTORS_BESIDE, f"this host grants a process {hard} file descriptors"
