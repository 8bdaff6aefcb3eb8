"""A lab of so many Machines, each with a program that does nothing: up, at rest, down."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.lab.scaling.processes import cpu_seconds, descendants, kernel_mb, proportional_mb, status_mb
from tests.lab.scaling.series import Figure

COUNTS = (1, 3, 10, 30, 100, 200, 300, 400, 500)
FIGURES = (
    Figure("up_ms", "up, ms", 0, noise=50),
    Figure("down_ms", "down, ms", 0, noise=20),
    Figure("cpu_ms", "processor time, ms", 0, noise=50),
    Figure("supervisor_mb", "supervisor, MiB", 1, noise=0.5),
    Figure("machines_mb", "all Machines, MiB", 1, noise=0.5),
    Figure("kernel_mb", "kernel, MiB", 1, noise=10, of_rounds=max),
    Figure("idle_cpu_percent", "supervisor at rest, % of a core", 1, noise=2),
)
REST_SECONDS = 3.0
_DEADLINE_SECONDS = 120
_PROGRAM = "date +%s%N; read -r line; date +%s%N"


def measure(count: int) -> dict[str, float]:
    """Bring a lab up and take it down."""
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory, "fly.toml")
        config.write_text('app = "many"\nprimary_region = "ams"\n')
        options = (f"--config={config}", f"--scale={count}", "--command=sleep inf")
        kernel_before_mb, cpu_before_s, began_ns = kernel_mb(), _cpu_of_ended_seconds(), time.time_ns()
        lab = subprocess.Popen(
            [sys.executable, "-m", "lab", "run", *options, "--", "sh", "-c", _PROGRAM],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert lab.stdin is not None
        assert lab.stdout is not None
        with lab:
            up_ns = int(lab.stdout.readline() or 0)
            if not up_ns:
                raise SystemExit(
                    f"a lab of {count} Machines did not come up: exit status {lab.wait(_DEADLINE_SECONDS)}"
                )
            held = _at_rest(lab.pid)
            held["kernel_mb"] = kernel_mb() - kernel_before_mb
            lab.stdin.write("\n")
            lab.stdin.flush()
            going_ns = int(lab.stdout.readline())
            lab.wait(_DEADLINE_SECONDS)
            gone_ns = time.time_ns()
    held["cpu_ms"] = (_cpu_of_ended_seconds() - cpu_before_s) * 1000
    return {"up_ms": (up_ns - began_ns) / 1e6, "down_ms": (gone_ns - going_ns) / 1e6, **held}


def _cpu_of_ended_seconds() -> float:
    """Return the processor time of every process below this one that has ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _at_rest(command: int) -> dict[str, float]:
    """Look at a lab for a while in which nobody asks anything of it."""
    supervisor, *others = descendants(command)  # the command only waits for it
    used, began = cpu_seconds(supervisor), time.perf_counter()
    time.sleep(REST_SECONDS)  # what it does unasked is what is measured
    used, passed = cpu_seconds(supervisor) - used, time.perf_counter() - began
    return {
        "supervisor_mb": status_mb(supervisor, "VmRSS"),
        "machines_mb": sum(map(proportional_mb, others)),
        "idle_cpu_percent": 100 * used / passed,
    }
