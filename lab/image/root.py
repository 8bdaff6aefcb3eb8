"""The file system of a Machine that runs an image: the image below, memory above, and what Fly's init adds.

Every start has a fresh layer of its own.  What the init mounts and writes is put there only when the image is the root
directory already, so no link in an image can lead out of it.  Devices are the host's, bound one by one.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lab import layer
from lab import namespaces as ns
from lab.errors import RefusedError
from lab.ownroot import FLY_DIRECTORY
from lab.rootfs import FLY_SOCKETS

if TYPE_CHECKING:
    from collections.abc import Mapping

_NEW_ROOT = "/run/root"
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
_OF_INIT = ("hosts", "resolv.conf", "hostname")
_PLAIN = ns.MS_NOSUID | ns.MS_NODEV | ns.MS_NOEXEC


def become(image_root: str, machine_id: str, files: Mapping[str, str]) -> None:
    """Turn the current, fresh mount and UTS namespaces into those of a Machine with that image."""
    ns.mount("none", "/", None, ns.MS_REC | ns.MS_PRIVATE)
    socket.sethostname(machine_id)
    layer.over(image_root, _NEW_ROOT)
    old = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    os.chdir(_NEW_ROOT)
    ns.pivot_root(".", ".")
    os.fchdir(old)  # from here on a relative path is in the lab's root, an absolute one in the image
    os.close(old)
    _mount(machine_id)
    for name in _OF_INIT:
        _write(Path("/etc", name), files[name])
    ns.detach(".")
    os.chdir("/")


def _mount(machine_id: str) -> None:
    for directory in ("proc", "sys", "dev", "run", "etc"):
        Path("/", directory).mkdir(exist_ok=True)
    for kind, name, flags in (("proc", "proc", _PLAIN), ("sysfs", "sys", _PLAIN | ns.MS_RDONLY)):
        try:
            ns.mount(kind, f"/{name}", kind, flags)
        except RefusedError:  # in a container whose engine covered parts of its own: that is what there is
            ns.mount(name, f"/{name}", None, ns.MS_BIND | ns.MS_REC)
    ns.mount("tmpfs", "/run", "tmpfs", ns.MS_NOSUID | ns.MS_NODEV, "mode=755,size=16m")
    ns.mount("tmpfs", "/dev", "tmpfs", ns.MS_NOSUID, "mode=755,size=64k")
    for name in _DEVICES:
        Path("/dev", name).touch()
        ns.mount(f"dev/{name}", f"/dev/{name}", None, ns.MS_BIND)
    for name, place in _LINKS.items():
        Path("/dev", name).symlink_to(place)
    for name, kind, data in (("pts", "devpts", "newinstance,ptmxmode=0666,mode=620"), ("shm", "tmpfs", "mode=1777")):
        Path("/dev", name).mkdir()
        ns.mount(kind, f"/dev/{name}", kind, ns.MS_NOSUID | ns.MS_NOEXEC, data)
    own = FLY_SOCKETS.relative_to("/") / machine_id
    if own.is_dir():
        Path(FLY_DIRECTORY).mkdir(exist_ok=True)
        ns.mount(str(own), FLY_DIRECTORY, None, ns.MS_BIND)


def _write(path: Path, text: str) -> None:
    """Write a file anew: the image may have a link in its place."""
    with suppress(FileNotFoundError):
        path.unlink()
    path.write_text(text)
