"""Time the lab: up, down, many Machines, cold and warm requests over Flycast: `python -m tests.lab.bench.lab [ROUNDS]`.

Up is from the start of `flycast-lab run` to its program's first instruction, the deployed app reachable; down is from
the program's end to the end of the command.  The program tells its own time, on the same clock.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LAB = (sys.executable, "-m", "lab", "run")
WARM_REQUESTS = 5
MANY = 200
MANY_ROUNDS = 3


def up_and_down(*options: str) -> tuple[float, float]:
    """Return how long one lab took to come up and to go, in milliseconds."""
    began = time.time_ns()
    done = subprocess.run(
        [*LAB, *options, "--", "date", "+%s%N"], capture_output=True, text=True, check=True, timeout=60
    )
    ended = time.time_ns()
    inside = int(done.stdout)
    return (inside - began) / 1e6, (ended - inside) / 1e6


def up_with_many() -> float:
    """Return how long a lab of many Machines took to come up, each with a trivial command, in milliseconds."""
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory, "fly.toml")
        config.write_text('app = "many"\nprimary_region = "ams"\n')
        return up_and_down(f"--config={config}", f"--scale={MANY}", "--command=sleep inf")[0]


def wakes(count: int) -> list[dict[str, float | str]]:
    """Return every request that the probe timed over `count` cold starts in one lab."""
    probe = [sys.executable, "-m", "shell", "wake", "private-svc", "--json"]
    options = ["--autostop-interval", "0.3", "--", *probe, "--count", str(count), "--warm", str(WARM_REQUESTS)]
    done = subprocess.run([*LAB, *options], stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    cycles = json.loads(done.stdout)["cycles"]
    return [request for cycle in cycles for request in cycle["requests"]]


def show(name: str, values: list[float]) -> None:
    """Print one row: the middle and both ends."""
    print(f"{name:<34}{statistics.median(values):>9.1f}{min(values):>9.1f}{max(values):>9.1f}{len(values):>6}")


def main() -> None:
    """Measure and print a table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    times = [up_and_down() for _ in range(rounds)]
    many = [up_with_many() for _ in range(min(rounds, MANY_ROUNDS))]
    requests = wakes(rounds)
    cold = [request for request in requests if request["kind"] == "cold"]
    if any(request["proof"] != "proven" for request in cold):
        raise SystemExit("a cold request was not proven to be cold; nothing measured")
    print(f"{'milliseconds':<34}{'median':>9}{'min':>9}{'max':>9}{'n':>6}")
    show("lab up, app reachable", [up for up, _ in times])
    show("lab down", [down for _, down in times])
    show(f"lab up, {MANY} Machines of 'sleep inf'", many)
    show("cold request", [float(request["total_ms"]) for request in cold])
    show("  of it the app (Server-Timing)", [float(request["app_ms"]) for request in cold])
    show("  of it the lab", [float(request["platform_ms"]) for request in cold])
    show("warm request", [float(request["total_ms"]) for request in requests if request["kind"] == "warm"])


if __name__ == "__main__":
    main()
