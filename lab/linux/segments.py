"""Segments of shared memory in another IPC namespace: sysvipc(7), shmctl(2)."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from lab import namespaces as ns

_REMOVE = 0  # IPC_RMID
_libc = ctypes.CDLL(None, use_errno=True)


def remove_segments(namespace: str, limit_bytes: int) -> int:
    """Remove the segments that nobody maps in an IPC `namespace` where they have more than the limit in memory.

    Return how many bytes that was, 0 when it was not too much.
    """
    ipc = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with ns.inside(ipc, "ipc"):
            sizes = _unmapped()
            if sum(sizes.values()) <= limit_bytes:
                return 0
            for segment in sizes:
                _libc.shmctl(ctypes.c_int(segment), ctypes.c_int(_REMOVE), None)
            return sum(sizes.values())
    finally:
        os.close(ipc)


def _unmapped() -> dict[int, int]:
    """Return by its number what each segment that nobody maps has in memory."""
    names, *lines = (line.split() for line in Path("/proc/sysvipc/shm").read_text("ascii").splitlines())
    rows = [dict(zip(names, line, strict=True)) for line in lines]
    return {int(row["shmid"]): int(row["rss"]) for row in rows if row["nattch"] == "0"}
