"""What a figure depends on: the machine, its programs, and who else was at work."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import cores
from tests.bench.measuring import WARM_UP_ROUNDS

if TYPE_CHECKING:
    from collections.abc import Mapping

Facts = dict[str, str]
SAME = ("processor", "cores", "kernel", "Python")  # runs that differ in one of these are of different machines
_PACKAGES = ("aiohttp", "dnspython", "pyroute2")
_PROGRAMS = {"wrk": ("wrk", "-v"), "nginx": ("nginx", "-v"), "curl": ("curl", "-V"), "cc": ("cc", "--version")}
_BUSY_SHARE = 0.3  # of the cores, when nothing is measured yet


def facts() -> Facts:
    """Look at the machine."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _said("git", "describe", "--always", "--dirty") or "?",
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "packages": ", ".join(f"{name} {found}" for name in _PACKAGES if (found := _version(name))),
        "programs": ", ".join(f"{name} {found}" for name, command in _PROGRAMS.items() if (found := _number(command))),
        "pinning": cores.described(),
        "warm-up": f"{WARM_UP_ROUNDS} round a row, not counted",
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


def others_at_work(found: Mapping[str, str]) -> bool:
    """Tell whether the machine was busy before anything was measured."""
    return float(found["load before"]) > _BUSY_SHARE * int(found["cores"])


def differing(ours: Mapping[str, str], saved: Mapping[str, str]) -> list[str]:
    """Return what makes a saved run one of another machine."""
    return [f"{name} {saved.get(name, '?')}, now {ours[name]}" for name in SAME if saved.get(name) != ours[name]]


def _processor() -> str:
    with suppress(OSError):
        if named := re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE):
            return named[1]
    return platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _number(command: tuple[str, ...]) -> str:
    found = re.search(r"\d+(\.\d+)+", _said(*command))
    return found[0] if found else ""


def _said(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    return (done.stdout + done.stderr).strip() if not done.returncode or command[0] == "wrk" else ""
