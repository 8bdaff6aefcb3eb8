"""The fault crash-mid-request: an app that is busy with requests for so long is killed in the middle of them."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from lab.processes import directory
from lab.states import MachineState

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from lab.log import EventLog
    from lab.machine import Machine

_LOOK_SECONDS = 0.005
_ESTABLISHED = "01"


async def crash_mid_request(
    machine: Machine, load: Callable[[], int], ports: Collection[int], after_ms: float, log: EventLog
) -> None:
    """Kill the Machine's app whenever requests have been with it for `after_ms`, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        await machine.until_started()
        busy_since = loop.time()
        while machine.state is MachineState.STARTED and loop.time() - busy_since < after_ms / 1000:
            await asyncio.sleep(_LOOK_SECONDS)
            if machine.process is None or not load() or not _reached(machine.process.pid, ports):
                busy_since = loop.time()
        if machine.state is MachineState.STARTED and machine.process is not None:
            said = f"fault crash-mid-request: the app is killed, busy for {after_ms:g}ms"
            log("lab", said, machine_id=machine.machine_id, region=machine.region, level="warn")
            machine.process.send(signal.SIGKILL)
        await machine.while_started()


def _reached(pid: int, ports: Collection[int]) -> bool:
    """Tell whether a connection is open to one of `ports`, as /proc/net has it: proc_net_tcp in the kernel's docs."""
    try:
        place = Path(directory(pid), "net")
        tables = [(place / name).read_text("ascii").splitlines()[1:] for name in ("tcp", "tcp6")]
    except OSError:
        return False
    rows = [line.split() for table in tables for line in table]
    return any(row[3] == _ESTABLISHED and int(row[1].rpartition(":")[2], 16) in ports for row in rows)
