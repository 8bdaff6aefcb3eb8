"""Suspends and resumes every process of a pid namespace.

SIGSTOP from an outer namespace stops pid 1 of an inner one too, and nobody can ignore it.  Process groups would not
do: a daemon has a group of its own.  Parents stop before their children and go on after them, so that no shell in
between sees a stopped child.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lab.processes import in_namespaces, namespace_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.processes import Entry

_STILL_RUNNING = b"RS"  # a stop that was sent and has not landed shows one of these for a moment
_LANDED_SECONDS = 1.0
_LOOK_AGAIN_SECONDS = 0.001


async def freeze(init: int) -> None:
    """Stop every process in the pid namespace of `init`, those included that are forked meanwhile.

    Return once all are stopped; one that the kernel holds longer than a second stops when it is let go.
    """
    deadline = asyncio.get_running_loop().time() + _LANDED_SECONDS
    while running := [entry for entry in _members(init) if _state(entry) in _STILL_RUNNING]:
        _send(running, signal.SIGSTOP)
        if asyncio.get_running_loop().time() >= deadline:
            return
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)  # only a parent is told when a process has stopped


def thaw(init: int) -> None:
    """Let every process in the pid namespace of `init` go on."""
    _send(reversed(_members(init)), signal.SIGCONT)


def _members(init: int) -> list[Entry]:
    """Return the processes in the pid namespace of `init`, oldest first."""
    namespace = namespace_of(init)
    return in_namespaces({namespace}).get(namespace, []) if namespace else []


def _state(entry: Entry) -> bytes:
    """Return the letter that /proc has for the state of a process, Z when it has ended."""
    try:
        return Path(entry.directory, "stat").read_bytes().rpartition(b")")[2].split()[0]
    except OSError:
        return b"Z"


def _send(entries: Iterable[Entry], number: signal.Signals) -> None:
    for entry in entries:
        with suppress(ProcessLookupError):
            os.kill(entry.pid, number)
