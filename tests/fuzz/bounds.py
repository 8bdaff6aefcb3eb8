"""Bounds for one input: processor time, memory, warnings. Beyond them an error is raised where the reader is."""

from __future__ import annotations

import resource
import signal
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

CPU_SECONDS = 3.0
"""Of this process's own, so that a busy machine proves nothing; thousands of times what an input should take."""

MEMORY_BYTES = 256 * 1024 * 1024
"""On top of what is there already; thousands of times the longest input."""


class HangError(Exception):
    """The reader did not come to an end."""


@contextmanager
def within_bounds() -> Iterator[None]:
    """Raise `HangError` or `MemoryError` inside the block when it takes too much."""

    def give_up(_number: int, _frame: FrameType | None) -> NoReturn:
        raise HangError(f"no end within {CPU_SECONDS:g} s of processor time")

    before = signal.signal(signal.SIGPROF, give_up)
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (_data_bytes() + MEMORY_BYTES, limits[1]))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        resource.setrlimit(resource.RLIMIT_DATA, limits)


def restart_clock() -> None:
    """Count the time of the next input."""
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)


def _data_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5]) * resource.getpagesize()
