"""What this host allows: the lab's own set-up, tried for real in a process that is thrown away.

Sysctl files are hints; only the calls tell.  The first refused call ends the trial and is named.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from lab.errors import LabError, RefusedError

if TYPE_CHECKING:
    from lab.start.launcher import Launcher

CONTAINER_OPTIONS = (
    "--privileged, or with --cap-add SYS_ADMIN --cap-add NET_ADMIN "
    "--security-opt seccomp=unconfined --security-opt apparmor=unconfined"
)


@dataclass(frozen=True, slots=True)
class Survey:
    """The outcome of the trial: `mode` is root or rootless; `refused` is empty when the lab works.

    What it does without has the refused call and its errno: `routing`, so that it is bridged, and a /proc of its own.
    `lacking` is what it cannot give a Machine of its boundary, so that `up` and `run` need --unsafe.
    """

    mode: str
    refused: str
    errno: int
    routing: str = ""
    own_proc: str = ""
    lacking: tuple[str, ...] = ()

    @property
    def works(self) -> bool:
        """Whether the lab's namespaces can be had."""
        return not self.refused


@dataclass(frozen=True, slots=True)
class Hints:
    """What the host says about itself, to choose the remedy by."""

    container: bool
    filtered: bool
    limits: tuple[tuple[str, str], ...]


def survey() -> Survey:
    """Bring a small lab up in a child process and tear it down; change nothing here."""
    mode = "root" if os.geteuid() == 0 else "rootless"
    if sys.platform != "linux":
        return Survey(mode, f"namespaces on {sys.platform} (they are a Linux feature)", errno.ENOSYS)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _try_everything(write)
    os.close(write)
    with os.fdopen(read) as report:
        lines = report.read().splitlines()
    os.waitpid(child, 0)
    outcome: dict[str, Any] = json.loads(lines[-1]) if lines else {"call": "fork", "errno": errno.EAGAIN}
    without = (outcome.get("routing", ""), outcome.get("own_proc", ""))
    lacking = tuple(outcome.get("lacking", ()))
    return Survey(mode, outcome.get("call", ""), outcome.get("errno", 0), *without, lacking=lacking)


def _try_everything(write: int) -> NoReturn:
    def tell(outcome: dict[str, Any]) -> None:
        os.write(write, json.dumps(outcome).encode() + b"\n")

    try:
        from lab.sandbox import run_in_sandbox  # noqa: PLC0415 - also in the lab's own order of imports

        run_in_sandbox(lambda: _lay_small_network(tell))
    except RefusedError as error:
        tell({"call": error.call, "errno": error.errno})
    except OSError as error:
        tell({"call": str(error), "errno": error.errno or 0})
    finally:
        os._exit(0)


def _lay_small_network(tell: Any) -> int:
    try:
        from lab.start.launcher import Launcher  # noqa: PLC0415
        from lab.start.rules import DISK_MB  # noqa: PLC0415
        from lab.topology import small_topology  # noqa: PLC0415
        from lab.wire import Wiring  # noqa: PLC0415

        launcher = Launcher(DISK_MB)
        lacking = launcher.wait_until_ready()
        bridged_because = Wiring.lay(small_topology(), launcher.networks(1, shells=True)).bridged_because
        asyncio.run(_start_machine(launcher))
        outcome = {"routing": bridged_because, "own_proc": _refusal_of_proc(), "lacking": lacking}
    except RefusedError as error:
        tell({"call": error.call, "errno": error.errno})
    except LabError as error:
        tell({"call": str(error), "errno": 0})
    else:
        tell(outcome)
    return 0


async def _start_machine(launcher: Launcher) -> None:
    """Start a Machine that ends at once."""
    (own,) = launcher.networks(1)
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    place = str(Path(__file__).parent)
    await launcher.start(
        "trial", ["true"], {"PATH": os.defpath}, directory=place, files={}, own=own, output=null, memory_mb=256
    )


def _refusal_of_proc() -> str:
    """Return how the host refuses a /proc of the lab's own; the sandbox has tried, and goes on without."""
    from lab import namespaces as ns  # noqa: PLC0415

    try:
        ns.mount("proc", "/proc", "proc")
    except RefusedError as error:
        return str(error)
    return ""


def hints() -> Hints:
    """Read what the host tells about containers, seccomp filters and namespace limits."""
    status = Path("/proc/self/status").read_text("ascii", "replace")
    names = (
        "user/max_user_namespaces",
        "user/max_net_namespaces",
        "kernel/unprivileged_userns_clone",
        "kernel/apparmor_restrict_unprivileged_userns",
    )
    limits = tuple((name, path.read_text().strip()) for name in names if (path := Path("/proc/sys", name)).exists())
    return Hints(
        container=any(Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv")),
        filtered="Seccomp:\t2" in status,
        limits=limits,
    )


def remedy(survey: Survey, hints: Hints) -> str:
    """Return what to do about the refused call, in one sentence with the command."""
    limits = dict(hints.limits)
    if survey.errno == errno.ENOSYS:
        return "run the lab on Linux, or in a Linux virtual machine"
    if survey.errno == errno.ENOSPC:
        return "raise the limit: sysctl -w user.max_user_namespaces=15000 user.max_net_namespaces=15000"
    if hints.container or hints.filtered:
        return f"this looks like a container: start it with {CONTAINER_OPTIONS}"
    if limits.get("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return "run as root, or: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
    if limits.get("kernel/unprivileged_userns_clone") == "0":
        return "run as root, or: sysctl -w kernel.unprivileged_userns_clone=1"
    return "run as root, on a kernel with user, network, mount and pid namespaces"
