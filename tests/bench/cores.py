"""Who runs where: a measured server on one core, its clients on another; where there is but one they share it.

What has no server and client, or both inside, has all cores: a lab that starts, the probe's phases.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ALL = tuple(sorted(os.sched_getaffinity(0)))
SERVER, CLIENT = ALL[0], ALL[-1]


def stay_with_the_clients() -> None:
    """Pin this process, and what it starts, to the client's core."""
    os.sched_setaffinity(0, {CLIENT})


@contextmanager
def on(*cores: int) -> Iterator[None]:
    """Let what is started meanwhile run on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def described() -> str:
    """Say it."""
    if SERVER == CLIENT:
        return f"servers and clients share core {SERVER}, the only one"
    return f"servers on core {SERVER}; clients, and proxies, on core {CLIENT}; the lab's start and the probe on all"
