"""Finds processes in /proc, under their numbers in the lab's pid namespace.

Where the lab may not mount a /proc of its own it sees that of its container, which numbers processes otherwise.  There
`NSpid` of proc_pid_status(5) has the number of a process in each namespace, from that of the /proc inwards, and
`Pid` in the fdinfo of a pidfd is the number that this /proc knows a process by.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_NUMBERS = re.compile(r"^NSpid:\s+(.*)$", re.MULTILINE)
_NUMBER = re.compile(r"^Pid:\s+(\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Entry:
    """A process: its number for kill(2), and its directory in /proc."""

    pid: int
    directory: str


def directory(pid: int) -> str:
    """Return the directory in /proc of a process; raise `ProcessLookupError` when it has ended."""
    if _is_own():
        return f"/proc/{pid}"
    handle = os.pidfd_open(pid)
    try:
        found = _NUMBER.search(Path(f"/proc/self/fdinfo/{handle}").read_text("ascii"))
    finally:
        os.close(handle)
    if found is None:
        raise ProcessLookupError(pid)
    return f"/proc/{found[1]}"


def namespace_of(pid: int) -> int:
    """Return what identifies the pid namespace of a process, or 0 when it has ended."""
    try:
        return _namespace(directory(pid))
    except OSError:
        return 0


def in_namespaces(wanted: Collection[int]) -> dict[int, list[Entry]]:
    """Return the processes of the `wanted` pid namespaces, oldest first; look through /proc once for all of them."""
    found = defaultdict(list)
    level = 0 if _is_own() else _level()
    for number in sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()):  # noqa: PTH208 - often called
        place = f"/proc/{number}"
        with suppress(OSError):  # it has ended
            if (namespace := _namespace(place)) in wanted:
                found[namespace].append(Entry(_numbers(place)[level] if level else number, place))
    return found


def _namespace(place: str) -> int:
    return os.stat(f"{place}/ns/pid").st_ino  # noqa: PTH116 - for every process there is


def _is_own() -> bool:
    return int(os.readlink("/proc/self")) == os.getpid()  # noqa: PTH115 - likewise


def _level() -> int:
    """Return how many namespaces the one of /proc is outside of ours."""
    return len(_numbers("/proc/self")) - 1


def _numbers(place: str) -> list[int]:
    found = _NUMBERS.search(Path(place, "status").read_text("utf-8", "replace"))
    return [int(number) for number in found[1].split()] if found else []
