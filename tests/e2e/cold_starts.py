"""Cold starts in numbers: what failed, what was started twice, what was left behind, what memory it took.

usage: python -m tests.e2e.cold_starts CYCLES [--tcp]
Exits 1 when a request failed, a Machine was started twice, or anything was left behind.
"""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.e2e.leftovers import family, namespaces
from tests.e2e.running import PROJECT, RunningLab

APP = "private-svc"
WARM_UP_CYCLES = 8
SECONDS_A_CYCLE = 10
LOOKS = 5
GROWTH_KIB = 4096  # allocators keep what a busy moment took; a leak of one request's objects a cycle is more


@dataclass(frozen=True)
class Usage:
    """What a lab uses while its app sleeps."""

    processes: int
    namespaces: int
    descriptors: int
    resident_kib: int


@dataclass(frozen=True)
class Result:
    """What the cycles came to."""

    cycles: int
    seconds: float
    client: dict[str, Any]
    starts: int
    before: Usage
    after: Usage
    faults: tuple[str, ...]


def measure(cycles: int, how: str, warm_up_cycles: int) -> Result:
    """Bring a lab up, warm it, and wake its app `cycles` times."""
    with RunningLab("--autostop-interval=0.05") as lab:
        wake(lab, warm_up_cycles, how)
        before = usage(lab)
        since = len(lab.lines)
        began = time.monotonic()
        client = wake(lab, cycles, how)
        seconds = time.monotonic() - began
        after = usage(lab)
        starts = sum("Starting machine" in line for line in lab.lines[since:])
        history = re.findall(r"Starting machine|Main child exited", "\n".join(lab.lines))
        faults = tuple(faults_of(cycles, client, starts, history, before, after))
        if faults:
            print(lab.tail(), file=sys.stderr)
    return Result(cycles, seconds, client, starts, before, after, faults)


def wake(lab: RunningLab, cycles: int, how: str) -> dict[str, Any]:
    """Run the client on the shell Machine."""
    script = f"cd {PROJECT} && exec {sys.executable} -m tests.e2e.cold_client {APP} {cycles} {how}"
    report: dict[str, Any] = json.loads(lab.shell(script, seconds=60 + SECONDS_A_CYCLE * cycles))
    return report


def usage(lab: RunningLab) -> Usage:
    """Return the least of several looks: what is just ending is not left behind."""
    until_asleep(lab)
    looks = []
    for _ in range(LOOKS):
        time.sleep(0.05)
        looks.append(look(lab))
    return min(looks, key=lambda seen: (seen.processes, seen.descriptors))


def until_asleep(lab: RunningLab) -> None:
    """Wait for the end of every app: a Machine that is stopping is gone from the names already."""
    deadline = time.monotonic() + SECONDS_A_CYCLE
    while any(machine["state"] != "stopped" for machine in lab.status()["machines"]):
        assert time.monotonic() < deadline, f"a Machine does not stop{lab.tail()}"


def look(lab: RunningLab) -> Usage:
    """Count what every process of the lab has."""
    members = family(lab.process.pid)
    descriptors = {pid: count for pid in members if (count := descriptors_of(pid))}
    supervisor = max(descriptors, key=descriptors.__getitem__)
    resident = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{supervisor}/status").read_text())
    assert resident is not None
    return Usage(len(members), len(namespaces(members)), sum(descriptors.values()), int(resident[1]))


def descriptors_of(pid: int) -> int:
    """Return how many a process has open; 0 when it has just ended."""
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return 0


def faults_of(
    cycles: int, client: dict[str, Any], starts: int, history: list[str], before: Usage, after: Usage
) -> list[str]:
    """Return a line for each thing that went wrong."""
    found = [f"failed: {each}" for each in client["failed"]]
    if any(one == other for one, other in pairwise(history)):
        found.append("a Machine was started while it ran, or ended twice")
    if not cycles - client["races"] <= starts <= cycles:
        found.append(f"{starts} starts for {cycles} cycles, {client['races']} of them races")
    for what in ("processes", "namespaces", "descriptors"):
        had, has = getattr(before, what), getattr(after, what)
        if has > had:
            found.append(f"{what}: {had} before, {has} after")
    if after.resident_kib > before.resident_kib + GROWTH_KIB:
        found.append(f"memory of the supervisor: {before.resident_kib} KiB before, {after.resident_kib} KiB after")
    return found


def main(arguments: list[str]) -> int:
    """Print what came of it."""
    if not arguments or not arguments[0].isdecimal() or arguments[1:] not in ([], ["--tcp"]):
        print(__doc__, file=sys.stderr)
        return 2
    result = measure(int(arguments[0]), "tcp" if arguments[1:] else "http", WARM_UP_CYCLES)
    client = result.client
    print(f"{result.cycles} cycles in {result.seconds:.0f} s, {client['races']} of them racing a stop")
    print(f"requests {client['requests']}, failed {len(client['failed'])}, slowest cycle {client['slowest_ms']} ms")
    print(f"starts {result.starts}, cycles with a proven cold answer {client['cold']}")
    for what in ("processes", "namespaces", "descriptors", "resident_kib"):
        print(f"{what}: {getattr(result.before, what)} before, {getattr(result.after, what)} after")
    for fault in result.faults:
        print(f"FAULT {fault}")
    return 1 if result.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
