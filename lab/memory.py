"""The memory limit of a Machine: what all its processes hold together, and which of them dies when that is too much.

Rules (docs/fly.md, "Environment"):

- The kernel of a Fly Machine kills the biggest process when memory runs out; when that is the main child the Machine
  ends with status 137, and its restart policy decides.
- A hard limit needs a cgroup that the host delegates, which most do not, so the lab looks four times a second: a
  process may hold too much for that long.  RLIMIT_AS would be a limit on addresses, for each process by itself.
- Shared pages count once: where the plain sum is too much, the proportional one decides (/proc/PID/smaps_rollup).
- A file of memfd_create(2) and a segment of shmget(2) are memory although nobody maps them.  To look at every
  descriptor of every process is dear, so the lab does it only while the host's shared memory has grown by more than a
  small Machine has.  A segment has no process that could be killed for it: it is removed.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import RefusedError
from lab.freezer import end_unless_still
from lab.linux.segments import remove_segments
from lab.processes import in_namespaces, namespace_of
from lab.start import rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lab.log import EventLog
    from lab.machine import Machine
    from lab.processes import Entry

LOOK_SECONDS = 0.25
_KIB = 1024
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_BLOCK_BYTES = 512  # of st_blocks, see stat(2)
_SMALL_MACHINE = 256 * _KIB * _KIB
_SHARED = re.compile(rb"^Shmem:\s+(\d+) kB", re.MULTILINE)
_PROPORTIONAL = re.compile(rb"^Pss:\s+(\d+) kB", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Held:
    """What one process holds, in bytes."""

    pid: int
    directory: str  # in /proc
    size: int


def victim(held: Sequence[Held], limit_bytes: int) -> Held | None:
    """Return the biggest process when all together hold more than the limit, else None."""
    return max(held, key=lambda one: one.size) if sum(one.size for one in held) > limit_bytes else None


async def keep_within_memory(machines: Iterable[Machine], log: EventLog) -> None:
    """Kill the biggest process of each Machine that runs and holds more than its limit, until cancelled.

    One that is stopping runs for as long as its kill timeout, and a suspended one keeps what it holds.
    """
    watched = list(machines)
    own = namespace_of(os.getpid())
    usual = _shared_memory()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        inits = [(machine, machine.process.pid) for machine in watched if machine.process is not None]
        places = [(machine, init, namespace_of(init)) for machine, init in inits]
        # Where it is our own, nobody knows which processes are the Machine's: the loopback walkthrough.
        found = in_namespaces({namespace for *_, namespace in places} - {own})
        files = _shared_memory() - usual > _SMALL_MACHINE
        for machine, init, namespace in places:
            entries = [entry for entry in found.get(namespace, ()) if entry.pid != init]
            if files:
                _look_at_segments(machine, entries, log)
            _look_at(machine, entries, log, _in_files(entries) if files else {})
            _look_at_number(machine, entries, log)
            end_unless_still(machine, entries, log)
            await asyncio.sleep(0)  # with hundreds of Machines a look takes milliseconds: others have their turn


def _look_at(machine: Machine, entries: Sequence[Entry], log: EventLog, unmapped: Mapping[int, int]) -> None:
    limit = machine.plan.memory_mb * _KIB * _KIB
    if victim(_held(entries, _resident, unmapped), limit) is None:
        return
    dying = victim(_held(entries, _proportional, unmapped), limit)
    if dying is not None:
        said = f"Out of memory: Killed process {dying.pid} ({_name(dying)}) rss:{dying.size // _KIB}kB"
        more = f"the Machine has {machine.plan.memory_mb} MB (fly.toml: [[vm]] memory)"
        log("app", f"{said}; {more}", machine_id=machine.machine_id, region=machine.region, level="error")
        with suppress(ProcessLookupError):
            os.kill(dying.pid, signal.SIGKILL)


def _look_at_number(machine: Machine, entries: Iterable[Entry], log: EventLog) -> None:
    """End a Machine with too many threads: the kernel counts those of each user, and root may become any user."""
    most = rules.threads(machine.plan.memory_mb)
    if sum(map(_threads, entries)) > most and machine.process is not None:
        said = f"Out of processes: a machine with {machine.plan.memory_mb} MB has room for {most}; ending the machine"
        log("app", said, machine_id=machine.machine_id, region=machine.region, level="error")
        machine.process.send(signal.SIGKILL)


def _threads(entry: Entry) -> int:
    with suppress(OSError):  # it has ended
        return os.stat(f"{entry.directory}/task").st_nlink - 2  # noqa: PTH116 - for every process there is
    return 0


def _held(entries: Iterable[Entry], measure: Callable[[str], int], unmapped: Mapping[int, int]) -> list[Held]:
    found = []
    for entry in entries:
        with suppress(OSError):  # it has ended
            size = measure(_living(entry.directory)) + unmapped.get(entry.pid, 0)
            found.append(Held(entry.pid, entry.directory, size))
    return found


def _living(directory: str) -> str:
    """Return where /proc shows what a process has: at another thread, when its first one has ended."""
    if _pages(directory)[0] == 0:
        with os.scandir(f"{directory}/task") as threads:
            return next((thread.path for thread in threads if _pages(thread.path)[0] > 0), directory)
    return directory


def _pages(directory: str) -> tuple[int, int, int]:
    """Return the size of a process, what of it is in memory, and what of that is shared."""
    with open(f"{directory}/statm", "rb", buffering=0) as statm:  # noqa: PTH123 - for every process there is
        size, resident, shared, *_ = map(int, statm.read().split())
    return size, resident, shared


def _in_files(entries: Iterable[Entry]) -> dict[int, int]:
    """Return by process what its files of memfd_create have that it does not map; a shared one is its first's."""
    seen: set[int] = set()
    found = {}
    for entry in entries:
        with suppress(OSError):  # it has ended
            directory = _living(entry.directory)
            size = sum(_new_file(descriptor.path, seen) for descriptor in os.scandir(f"{directory}/fd"))
            found[entry.pid] = max(0, size - _pages(directory)[2] * _PAGE_BYTES)
    return found


def _look_at_segments(machine: Machine, entries: Sequence[Entry], log: EventLog) -> None:
    """Remove the segments that no process maps when they alone are more than the Machine has."""
    for entry in entries[:1]:
        with suppress(OSError, RefusedError):  # it has ended
            size = remove_segments(f"{entry.directory}/ns/ipc", machine.plan.memory_mb * _KIB * _KIB)
            if size:
                said = f"Out of memory: Removed {size // _KIB}kB of shared memory that no process had mapped"
                log("app", said, machine_id=machine.machine_id, region=machine.region, level="error")


def _new_file(descriptor: str, seen: set[int]) -> int:
    """Return what a descriptor's file has in memory, if it is one of memfd_create that was not seen before."""
    with suppress(OSError):  # it has been closed
        if os.readlink(descriptor).startswith("/memfd:"):  # noqa: PTH115 - for every descriptor there is
            status = os.stat(descriptor)  # noqa: PTH116 - likewise
            if status.st_ino not in seen:
                seen.add(status.st_ino)
                return status.st_blocks * _BLOCK_BYTES
    return 0


def _shared_memory() -> int:
    """Return how much of the host's memory is in files that only memory has."""
    found = _SHARED.search(Path("/proc/meminfo").read_bytes())
    return int(found[1]) * _KIB if found else 0


def _resident(directory: str) -> int:
    return _pages(directory)[1] * _PAGE_BYTES


def _proportional(directory: str) -> int:
    found = _PROPORTIONAL.search(Path(directory, "smaps_rollup").read_bytes())
    return int(found[1]) * _KIB if found else _resident(directory)


def _name(dying: Held) -> str:
    try:
        return Path(dying.directory, "comm").read_text("utf-8", "replace").strip()
    except OSError:  # it has ended by itself
        return "?"
