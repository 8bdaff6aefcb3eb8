"""What a process holds and has used, from /proc."""

from __future__ import annotations

import os
import re
from pathlib import Path

_KIB_IN_MIB = 1024
_IN_THE_KERNEL = ("Slab", "Percpu", "KernelStack", "PageTables")


def status_mb(pid: int, field: str) -> float:
    """Return a size of /proc/PID/status, such as VmRSS or VmHWM, in MiB."""
    return _mb(Path(f"/proc/{pid}/status").read_text("utf-8", "replace"), field)


def proportional_mb(pid: int) -> float:
    """Return the memory of a process in MiB, its part of shared pages included; 0 when it has ended."""
    try:
        return _mb(Path(f"/proc/{pid}/smaps_rollup").read_text(), "Pss")
    except OSError:
        return 0.0


def kernel_mb() -> float:
    """Return what the kernel of the whole machine holds for itself, in MiB."""
    meminfo = Path("/proc/meminfo").read_text()
    return sum(_mb(meminfo, field) for field in _IN_THE_KERNEL)


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process's first thread, to the nanosecond (proc_pid_schedstat(5))."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def descendants(pid: int) -> list[int]:
    """Return every process below one, in any namespace."""
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - numbers are wanted, not paths
        if entry.isdecimal():
            try:
                parents[int(entry)] = int(_stat(int(entry))[1])
            except OSError:
                continue
    found, wave = [], {pid}
    while wave:
        wave = {child for child, parent in parents.items() if parent in wave}
        found += sorted(wave)
    return found


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()


def _mb(text: str, field: str) -> float:
    found = re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"expected a line {field!r}, got {text[:200]!r}")
    return int(found[1]) / _KIB_IN_MIB
