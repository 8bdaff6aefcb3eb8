"""The memory limit of a Machine: what all its processes hold together, and which of them dies when that is too much.

Rules (FLY_FACTS section 6 for the size; the log lines from public issues):

- The kernel of a Fly Machine kills the biggest process when memory runs out; when that is the main child the Machine
  ends with status 137, and its restart policy decides.
- A hard limit needs a cgroup that the host delegates, which most do not, so the lab looks four times a second: a
  process may hold too much for that long.  RLIMIT_AS would be a limit on addresses, for each process by itself.
- Shared pages count once: where the plain sum is too much, the proportional one decides (/proc/PID/smaps_rollup).
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.states import MachineState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lab.log import EventLog
    from lab.machine import Machine

LOOK_SECONDS = 0.25
_KIB = 1024
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PROPORTIONAL = re.compile(rb"^Pss:\s+(\d+) kB", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Held:
    """What one process holds, in bytes."""

    pid: int
    name: str
    size: int


def victim(held: Sequence[Held], limit_bytes: int) -> Held | None:
    """Return the biggest process when all together hold more than the limit, else None."""
    return max(held, key=lambda one: one.size) if sum(one.size for one in held) > limit_bytes else None


async def keep_within_memory(machines: Iterable[Machine], log: EventLog) -> None:
    """Kill the biggest process of each started Machine that holds more than its limit, until cancelled."""
    watched = list(machines)
    own = _namespace_of("self")
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        started = [machine for machine in watched if machine.state is MachineState.STARTED]
        by_namespace = _pids_by_namespace() if started else {}
        for machine in started:
            init = machine.process.pid if machine.process is not None else 0
            namespace = _namespace_of(str(init))
            if namespace != own:  # else nobody knows which processes are the Machine's: the loopback walkthrough
                _look_at(machine, [pid for pid in by_namespace.get(namespace, ()) if pid != init], log)


def _look_at(machine: Machine, pids: Sequence[int], log: EventLog) -> None:
    limit = machine.plan.memory_mb * _KIB * _KIB
    if victim(_held(pids, _resident), limit) is None:
        return
    dying = victim(_held(pids, _proportional), limit)
    if dying is not None:
        said = f"Out of memory: Killed process {dying.pid} ({dying.name}) rss:{dying.size // _KIB}kB"
        more = f"the Machine has {machine.plan.memory_mb} MB (fly.toml: [[vm]] memory)"
        log("app", f"{said}; {more}", machine_id=machine.machine_id, region=machine.region, level="error")
        with suppress(ProcessLookupError):
            os.kill(dying.pid, signal.SIGKILL)


def _pids_by_namespace() -> dict[int, list[int]]:
    """Look through /proc once, however many Machines there are."""
    found = defaultdict(list)
    for name in os.listdir("/proc"):  # noqa: PTH208 - four times a second
        if name.isdecimal():
            found[_namespace_of(name)].append(int(name))
    return found


def _namespace_of(name: str) -> int:
    try:
        return os.stat(f"/proc/{name}/ns/pid").st_ino  # noqa: PTH116 - likewise
    except OSError:
        return 0


def _held(pids: Iterable[int], measure: Callable[[int], int]) -> list[Held]:
    found = []
    for pid in pids:
        with suppress(OSError):  # it has ended
            found.append(Held(pid, Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").strip(), measure(pid)))
    return found


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE_BYTES


def _proportional(pid: int) -> int:
    found = _PROPORTIONAL.search(Path(f"/proc/{pid}/smaps_rollup").read_bytes())
    return int(found[1]) * _KIB if found else _resident(pid)
