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
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.processes import in_namespaces, namespace_of
from lab.states import MachineState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lab.log import EventLog
    from lab.machine import Machine
    from lab.processes import Entry

LOOK_SECONDS = 0.25
_KIB = 1024
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
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
    """Kill the biggest process of each started Machine that holds more than its limit, until cancelled."""
    watched = list(machines)
    own = namespace_of(os.getpid())
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        started = [machine for machine in watched if machine.state is MachineState.STARTED]
        inits = [(machine, machine.process.pid) for machine in started if machine.process is not None]
        places = [(machine, init, namespace_of(init)) for machine, init in inits]
        # Where it is our own, nobody knows which processes are the Machine's: the loopback walkthrough.
        found = in_namespaces({namespace for *_, namespace in places} - {own})
        for machine, init, namespace in places:
            _look_at(machine, [entry for entry in found.get(namespace, ()) if entry.pid != init], log)
            await asyncio.sleep(0)  # with hundreds of Machines a look takes milliseconds: others have their turn


def _look_at(machine: Machine, entries: Sequence[Entry], log: EventLog) -> None:
    limit = machine.plan.memory_mb * _KIB * _KIB
    if victim(_held(entries, _resident), limit) is None:
        return
    dying = victim(_held(entries, _proportional), limit)
    if dying is not None:
        said = f"Out of memory: Killed process {dying.pid} ({_name(dying)}) rss:{dying.size // _KIB}kB"
        more = f"the Machine has {machine.plan.memory_mb} MB (fly.toml: [[vm]] memory)"
        log("app", f"{said}; {more}", machine_id=machine.machine_id, region=machine.region, level="error")
        with suppress(ProcessLookupError):
            os.kill(dying.pid, signal.SIGKILL)


def _held(entries: Iterable[Entry], measure: Callable[[str], int]) -> list[Held]:
    found = []
    for entry in entries:
        with suppress(OSError):  # it has ended
            found.append(Held(entry.pid, entry.directory, measure(entry.directory)))
    return found


def _resident(directory: str) -> int:
    with open(f"{directory}/statm", "rb", buffering=0) as statm:  # noqa: PTH123 - for every process there is
        return int(statm.read().split()[1]) * _PAGE_BYTES


def _proportional(directory: str) -> int:
    found = _PROPORTIONAL.search(Path(directory, "smaps_rollup").read_bytes())
    return int(found[1]) * _KIB if found else _resident(directory)


def _name(dying: Held) -> str:
    try:
        return Path(dying.directory, "comm").read_text("utf-8", "replace").strip()
    except OSError:  # it has ended by itself
        return "?"
