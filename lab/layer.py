"""A fresh writable layer for one start of a Machine: what its app writes never reaches the host, and goes at a stop.

Fly's Machines begin every start with the image's file system; a suspended one keeps what it has.  Here each directory
of the root becomes an overlay of itself with memory above it.  An overlay shows one mount, so what is mounted below is
bound into it again, as it is.  Where the host refuses the overlay of a directory (mounts below it that a user namespace
must not uncover, a file system that cannot be a lower layer), that directory stays shared and keeps what is written.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from lab import namespaces as ns
from lab.errors import RefusedError
from lab.ownroot import FLY_DIRECTORY

_NOT_THE_IMAGE_S = {"/dev", "/proc", "/sys", "/run", FLY_DIRECTORY}
_STORE = Path("/run/layer")
_OCTAL = re.compile(r"\\([0-7]{3})")
_NEEDS_ESCAPE = re.compile(r"([\\:,])")


def lay() -> list[str]:
    """Cover the directories of the root in a private mount namespace; return those that had to stay shared."""
    _STORE.mkdir(exist_ok=True)
    ns.mount("tmpfs", str(_STORE), "tmpfs", ns.MS_NOSUID | ns.MS_NODEV, "mode=700")
    mounted = _mount_points()
    return [str(entry) for entry in sorted(Path("/").iterdir()) if _is_ours(entry) and not _cover(entry, mounted)]


def _is_ours(entry: Path) -> bool:
    return entry.is_dir() and not entry.is_symlink() and str(entry) not in _NOT_THE_IMAGE_S


def _cover(directory: Path, mounted: list[str]) -> bool:
    below = [point for point in mounted if point.startswith(f"{directory}/")]
    kept = [(point, os.open(point, os.O_PATH | os.O_CLOEXEC)) for point in _outermost(below)]
    upper, work = (_STORE / f"{kind}{directory.name}" for kind in ("upper.", "work."))
    try:
        work.mkdir()
        upper.mkdir()
        _become_like(upper, directory)
        _mount_overlay(directory, upper, work)
        for point, fd in kept:
            ns.mount(f"/proc/self/fd/{fd}", point, None, ns.MS_BIND | ns.MS_REC)
    except (RefusedError, OSError):
        return False
    finally:
        for _, fd in kept:
            os.close(fd)
    return True


def _become_like(upper: Path, directory: Path) -> None:
    """Give the top of the layer the owner and mode of the directory: they are what is seen of it."""
    status = directory.stat()
    upper.chmod(status.st_mode & 0o7777)
    if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
        with suppress(OSError):  # an owner that the user namespace has no number for
            os.chown(upper, status.st_uid, status.st_gid)


def _mount_overlay(directory: Path, upper: Path, work: Path) -> None:
    named = (("lowerdir", directory), ("upperdir", upper), ("workdir", work))
    layers = ",".join(f"{name}={_escaped(str(path))}" for name, path in named)
    try:
        ns.mount("overlay", str(directory), "overlay", 0, f"{layers},userxattr")
    except RefusedError:  # a kernel before 5.11, or a file system in memory without such attributes
        ns.mount("overlay", str(directory), "overlay", 0, layers)


def _escaped(path: str) -> str:
    return _NEEDS_ESCAPE.sub(r"\\\1", path)


def _mount_points() -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
    return [_OCTAL.sub(lambda octal: chr(int(octal[1], 8)), line.split(" ")[4]) for line in lines]


def _outermost(points: list[str]) -> list[str]:
    """Leave out what comes along with a mount above it."""
    found: list[str] = []
    for point in sorted(set(points)):
        if not any(point.startswith(f"{other}/") for other in found):
            found.append(point)
    return found
