"""Every attempt there is, in the order in which they are made: those that disturb the Machine itself come last."""

from __future__ import annotations

from . import files, kernel, keys, mounts, network, processes, resources, rights, sockets
from .sockets import STOP_MACHINES

__all__ = ["STOP_MACHINES", "TABLE"]

TABLE = (
    *files.ATTEMPTS, *mounts.ATTEMPTS, *processes.ATTEMPTS, *kernel.ATTEMPTS, *rights.ATTEMPTS, *keys.ATTEMPTS,
    *network.ATTEMPTS, *resources.ATTEMPTS, *sockets.ATTEMPTS, STOP_MACHINES,
)  # fmt: skip
