"""What a Machine finds in its file system: names, resolver, host name, its own /proc, /sys, /run and /.fly.

The rest is the host's root file system.  A bind mount covers each file where it really is, because
/etc/resolv.conf is often a symbolic link; a link into /run is written into the Machine's fresh /run.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lab import namespaces as ns
from lab.errors import LabError, RefusedError
from lab.ownroot import FLY_DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lab.topology import MachinePlan

FLY_SOCKETS = Path("/run/fly")  # in the lab; each Machine finds its own directory of it as /.fly
_OWN_IPV4 = "127.0.1.1"  # as Debian has a host know itself
_NSSWITCH = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n"


def etc_files(plan: MachinePlan, nameserver: str) -> dict[str, str]:
    """Return the files of /etc that Fly's init writes, and an nsswitch.conf that asks them."""
    hosts = (
        (plan.private_ip, "fly-local-6pn"),
        (plan.ipv4, plan.machine_id),
        (plan.ipv4, "fly-global-services"),
    )
    return _etc_files(plan.machine_id, hosts, f"nameserver {nameserver}\n")


def laptop_files(name: str) -> dict[str, str]:
    """Return the same files for a host outside, before anything sets its resolver."""
    return _etc_files(name, ((_OWN_IPV4, name),), "# The lab's internet has no resolver.\n")


def _etc_files(hostname: str, hosts: Iterable[tuple[str, str]], resolver: str) -> dict[str, str]:
    everybody = (("127.0.0.1", "localhost"), ("::1", "localhost ip6-localhost ip6-loopback"))
    return {
        "hosts": "".join(f"{address}\t{names}\n" for address, names in (*everybody, *hosts)),
        "resolv.conf": resolver,
        "hostname": f"{hostname}\n",
        "nsswitch.conf": _NSSWITCH,
    }


def require_targets() -> None:
    """Raise `LabError` when the host lacks a file that every Machine needs one of its own mounted over."""
    for name in ("hosts", "resolv.conf"):
        target = Path("/etc", name).resolve()
        if not target.exists() and not target.is_relative_to("/run"):
            raise LabError(f"expected a file {target} to mount the Machines' own over, got none: touch {target}")


def prepare(machine_id: str, files: Mapping[str, str]) -> None:
    """Turn the current, fresh mount and UTS namespaces into the Machine's."""
    ns.mount("none", "/", None, ns.MS_REC | ns.MS_PRIVATE)
    socket.sethostname(machine_id)
    targets = {name: Path("/etc", name).resolve() for name in files}
    staging = Path("/run/etc")
    staging.mkdir(exist_ok=True)
    for name, target in targets.items():
        if target.exists() and not target.is_relative_to("/run"):
            source = staging / f"{machine_id}.{name}"
            source.write_text(files[name])
            ns.mount(str(source), str(target), None, ns.MS_BIND)
    if (FLY_SOCKETS / machine_id).is_dir():
        ns.mount(str(FLY_SOCKETS / machine_id), FLY_DIRECTORY, None, ns.MS_BIND)
    harmless = ns.MS_NOSUID | ns.MS_NODEV | ns.MS_NOEXEC
    for kind, place, flags in (("proc", "/proc", harmless), ("sysfs", "/sys", harmless | ns.MS_RDONLY)):
        with suppress(RefusedError):  # a container's, parts of which its engine covered, stays to be seen
            ns.mount(kind, place, kind, flags)
    ns.mount("tmpfs", "/run", "tmpfs", ns.MS_NOSUID | ns.MS_NODEV, "mode=755,size=16m")
    for name, target in targets.items():
        if target.is_relative_to("/run"):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(files[name])


def change_directory(directory: str) -> None:
    """Enter `directory`, or / where the Machine does not have it."""
    try:
        os.chdir(directory)
    except OSError:
        os.chdir("/")
