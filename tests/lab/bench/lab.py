"""Ways to measure the lab: up, a cold request, and warm ones beside direct ones.

Up is from the start of `flycast-lab run` to its program's first instruction, the deployed app reachable.  The program
tells its own time, on the same clock.
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.bench import cores, wrk
from tests.bench.programs import PROJECT
from tests.bench.row import Pair
from tests.lab.bench.inside import HERE, LAB, app, lab, on_the_servers_core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lab.bench.inside import Inside

MANY = 200
CONNECTIONS = 32
SERVICE = on_the_servers_core(sys.executable, "-m", "private_svc")
THROUGH, DIRECT = "http://private-svc.flycast/healthz", "http://private-svc.internal:8080/healthz"
ON_DEMAND = """
[http_service]
internal_port = 8080
auto_stop_machines = "stop"
auto_start_machines = true
min_machines_running = 0
"""


def up_ms(*options: str) -> float:
    """Return how long one lab took to come up, in milliseconds."""
    began = time.time_ns()
    command = [*LAB, *options, "--", "date", "+%s%N"]
    with cores.on(*cores.ALL):
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True, timeout=60)
    return (int(done.stdout) - began) / 1e6


@contextmanager
def up() -> Iterator[Pair]:
    """Time up."""
    yield Pair(up_ms)


@contextmanager
def up_with_many() -> Iterator[Pair]:
    """Time a lab of many Machines, each with a trivial command."""
    with app("many") as config:
        yield Pair(lambda: up_ms(f"--config={config}", f"--scale={MANY}", "--command=sleep inf"))


@contextmanager
def after_listening() -> Iterator[Pair]:
    """Time a cold request from the moment its app listens."""
    command = f"--command={sys.executable} {HERE / 'late_app.py'} 8080"
    client = (sys.executable, str(HERE / "late_client.py"), "late.flycast")
    with app("late", ON_DEMAND) as config, lab(f"--config={config}", command) as inside:
        inside.output("curl", "-s", "http://late.flycast/")  # the process of the deploy leaves
        yield Pair(lambda: float(inside.output(*client)))


@contextmanager
def warm(measure: Callable[[wrk.Load], float], connections: int) -> Iterator[Pair]:
    """Load the service over Flycast and directly."""
    with lab(f"--command={SERVICE}") as inside:
        inside.output("curl", "-sSf", THROUGH)  # it listens before it can answer
        yield Pair(
            lambda: measure(_load(inside, THROUGH, connections)), lambda: measure(_load(inside, DIRECT, connections))
        )


def _load(inside: Inside, url: str, connections: int) -> wrk.Load:
    return wrk.read(inside.output(*wrk.command(url, connections)))
