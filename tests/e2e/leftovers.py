"""What a lab could leave behind on its host: processes, namespaces, mounts, interfaces, sockets, files."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_NAMESPACES = ("net", "mnt", "pid", "uts", "ipc", "user")
_DIRECTORIES = ("/run", "/dev/shm")  # noqa: S108 - looked at, never written


@dataclass(frozen=True)
class Snapshot:
    """The things of one moment that can be compared with those of another."""

    mounts: frozenset[str]
    interfaces: frozenset[str]
    files: frozenset[str]


def snapshot() -> Snapshot:
    """Look at the host."""
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    return Snapshot(
        mounts=frozenset(Path("/proc/self/mountinfo").read_text().splitlines()),
        interfaces=frozenset(line.split(": ")[1] for line in links.splitlines()),
        files=frozenset(str(path) for top in _DIRECTORIES for path in Path(top).glob("*")),
    )


def doors(pid: int) -> list[str]:
    """Return the control sockets of the lab that process `pid` started."""
    words = Path("/proc/net/unix").read_text("utf-8", "replace").split()
    return [word for word in words if word.startswith("@flycast-lab/") and word.endswith(f"/{pid}")]


def family(pid: int) -> dict[int, str]:
    """Return every descendant of `pid`, itself included, with its start time: a pid alone may be used again."""
    parents: dict[int, int] = {}
    starts: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)], starts[int(entry.name)] = int(fields[1]), fields[19]
    found = {pid}
    while grown := {child for child, parent in parents.items() if parent in found} - found:
        found |= grown
    return {member: starts[member] for member in found if member in starts}


def namespaces(members: dict[int, str]) -> set[str]:
    """Return the namespaces those processes are in and we are not."""
    return {name for pid in members for name in _namespaces_of(pid)} - _namespaces_of(os.getpid())


def _namespaces_of(pid: int) -> set[str]:
    names = set()
    for kind in _NAMESPACES:
        with suppress(OSError):
            names.add(str(Path(f"/proc/{pid}/ns/{kind}").readlink()))
    return names


def alive(members: dict[int, str]) -> list[int]:
    """Return those of `members` that still run."""
    left = []
    for pid, started in members.items():
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if fields[19] == started and fields[0] != "Z":
                left.append(pid)
    return left


def now_ticks() -> int:
    """Return this moment as /proc has the start of a process."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def wait_until_unused(names: set[str], since_ticks: int, seconds: float = 20) -> set[str]:
    """Wait until no process from before `since_ticks` is in those namespaces; return those in use after `seconds`.

    A dead process counts until the host's init has reaped it. Who began later is another test's: the kernel gives a
    new namespace the number of one that is gone.
    """
    end = time.monotonic() + seconds
    while (left := names & _namespaces_used_by_the_old(since_ticks)) and time.monotonic() < end:
        time.sleep(0.01)
    return left


def _namespaces_used_by_the_old(since_ticks: int) -> set[str]:
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return {name for pid in pids if _started(pid) <= since_ticks for name in _namespaces_of(pid)}


def _started(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:  # it has ended
        return sys.maxsize


def wait_until_gone(members: dict[int, str], seconds: float = 20) -> list[int]:
    """Wait for the kernel to end them; return those that are left after `seconds`."""
    end = time.monotonic() + seconds
    while (left := alive(members)) and time.monotonic() < end:
        time.sleep(0.01)
    return left
