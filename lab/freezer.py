"""Suspends and resumes every process of a pid namespace.

SIGSTOP from an outer namespace stops pid 1 of an inner one too, and nobody can ignore it.  Process groups would not
do: a daemon has a group of its own.  Parents stop before their children and go on after them, so that no shell in
between sees a stopped child.

A program can have the kernel send SIGCONT later, by a timer or when a packet comes.  So the lab looks again and again:
a suspended Machine that does not stand still is ended.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lab.processes import in_namespaces, namespace_of
from lab.states import MachineState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.log import EventLog
    from lab.machine import Machine
    from lab.processes import Entry

_STILL_RUNNING = b"RS"  # a stop that was sent and has not landed shows one of these for a moment
_LANDED_SECONDS = 10.0
_LOOK_AGAIN_SECONDS = 0.001


async def freeze(init: int) -> None:
    """Stop every process in the pid namespace of `init`, those included that are forked meanwhile.

    Return once all are stopped, or after ten seconds; one that the kernel holds stops when it is let go.
    """
    deadline = asyncio.get_running_loop().time() + _LANDED_SECONDS
    moving = _members(init)
    while moving and asyncio.get_running_loop().time() < deadline:
        _send(moving, signal.SIGSTOP)
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)  # only a parent is told when a process has stopped
        moving = [entry for entry in _members(init) if moves(entry)]


def thaw(init: int) -> None:
    """Let every process in the pid namespace of `init` go on."""
    _send(reversed(_members(init)), signal.SIGCONT)


def end_unless_still(machine: Machine, entries: Iterable[Entry], log: EventLog) -> None:
    """End a suspended Machine of which a process goes on: on Fly none would, and here it would do so unnoticed."""
    if machine.state is MachineState.SUSPENDED and any(moves(entry) for entry in entries):
        said = "A process went on while the machine was suspended; ending the machine"
        log("runner", said, machine_id=machine.machine_id, region=machine.region, level="warn")
        machine.begin_stop()


def _members(init: int) -> list[Entry]:
    """Return the processes in the pid namespace of `init`, oldest first."""
    namespace = namespace_of(init)
    return in_namespaces({namespace}).get(namespace, []) if namespace else []


def moves(entry: Entry) -> bool:
    """Tell whether a thread of a process goes on: its first one may have ended, or a debugger may hold it."""
    with suppress(OSError):  # it has ended
        return any(_state(thread) in _STILL_RUNNING for thread in Path(entry.directory, "task").iterdir())
    return False


def _state(thread: Path) -> bytes:
    """Return the letter that /proc has for the state of a thread, Z when it has ended."""
    try:
        return (thread / "stat").read_bytes().rpartition(b")")[2].split()[0]
    except OSError:
        return b"Z"


def _send(entries: Iterable[Entry], number: signal.Signals) -> None:
    for entry in entries:
        with suppress(ProcessLookupError):
            os.kill(entry.pid, number)
