"""The file system of a shell Machine or a laptop: the caller's own, with names, resolver and host name of its own.

Such a Machine runs the caller's commands, so it keeps the caller's files.  But it is no way to the secrets of other
Machines: it has a user namespace of its own, so it has no rights over their processes, and what is mounted here cannot
be taken away there, which would show the /proc and the /run of the lab (mount_namespaces(7)).

A bind mount covers each file of /etc where it really is, because /etc/resolv.conf is often a symbolic link; a link into
/run is written into the fresh /run.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lab import namespaces as ns
from lab.errors import LabError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping


def require_targets() -> None:
    """Raise `LabError` when the host lacks a file that every shell Machine needs one of its own mounted over."""
    for name in ("hosts", "resolv.conf"):
        target = Path("/etc", name).resolve()
        if not target.exists() and not target.is_relative_to("/run"):
            raise LabError(f"expected a file {target} to mount a shell Machine's own over, got none: touch {target}")


def prepare(machine_id: str, files: Mapping[str, str]) -> None:
    """Turn the current, fresh mount and UTS namespaces into the shell Machine's."""
    socket.sethostname(machine_id)
    targets = {name: Path("/etc", name).resolve() for name in files}
    ns.detach("/run")  # the lab's own, with the sockets of all Machines
    ns.mount("tmpfs", "/run", "tmpfs", ns.MS_NOSUID | ns.MS_NODEV, "mode=755,size=16m")
    staging = Path("/run/etc")
    staging.mkdir()
    for name, target in targets.items():
        if target.is_relative_to("/run"):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(files[name])
        elif target.exists():
            source = staging / name
            source.write_text(files[name])
            ns.mount(str(source), str(target), None, ns.MS_BIND)
    harmless = ns.MS_NOSUID | ns.MS_NODEV | ns.MS_NOEXEC
    for kind, place, flags in (("proc", "/proc", harmless), ("sysfs", "/sys", harmless | ns.MS_RDONLY)):
        with suppress(RefusedError):  # a container's, parts of which its engine covered, stays to be seen
            ns.mount(kind, place, kind, flags)


def keep_covered(users: int) -> None:
    """Enter the user namespace `users`, and in it a copy of these mounts that can only be added to."""
    ns.setns(users)
    ns.unshare(ns.CLONE_NEWNS | ns.CLONE_NEWUTS | ns.CLONE_NEWIPC)
