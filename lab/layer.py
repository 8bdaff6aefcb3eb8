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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab import namespaces as ns
from lab.errors import RefusedError
from lab.ownroot import FLY_DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Sequence

_NOT_THE_IMAGE_S = {"/dev", "/proc", "/sys", "/run", FLY_DIRECTORY}
_STORE = Path("/run/layer")
_OCTAL = re.compile(r"\\([0-7]{3})")
_NEEDS_ESCAPE = re.compile(r"([\\:,])")


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory of the root to cover: how the top of its layer must look, and what is mounted below it."""

    path: str
    mode: int
    owner: tuple[int, int]
    below: tuple[str, ...]


def survey() -> tuple[Directory, ...]:
    """Look at the root once, for every layer that is laid over it."""
    mounted = _mount_points()
    return tuple(_look_at(entry, mounted) for entry in sorted(Path("/").iterdir()) if _is_ours(entry))


def lay(directories: Sequence[Directory]) -> list[str]:
    """Cover the directories of the root in a private mount namespace; return those that had to stay shared."""
    _open_store()
    return [directory.path for directory in directories if not _cover(directory)]


def over(lower: str, target: str) -> None:
    """Mount on `target` the directory `lower` with a fresh layer above it; make `target` where it is missing."""
    _open_store()
    Path(target).mkdir(exist_ok=True)
    upper, work = f"{_STORE}/upper", f"{_STORE}/work"
    for path in (upper, work):
        os.mkdir(path)  # noqa: PTH102
    status = Path(lower).stat()
    _become_like(upper, Directory(lower, status.st_mode & 0o7777, (status.st_uid, status.st_gid), ()))
    _mount_overlay(lower, target, upper, work)


def _open_store() -> None:
    """Put memory where the layers go; it goes with the mount namespace."""
    _STORE.mkdir(exist_ok=True)
    ns.mount("tmpfs", str(_STORE), "tmpfs", ns.MS_NOSUID | ns.MS_NODEV, "mode=700")


def _is_ours(entry: Path) -> bool:
    return entry.is_dir() and not entry.is_symlink() and str(entry) not in _NOT_THE_IMAGE_S


def _look_at(entry: Path, mounted: Sequence[str]) -> Directory:
    status = entry.stat()
    below = _outermost([point for point in mounted if point.startswith(f"{entry}/")])
    return Directory(str(entry), status.st_mode & 0o7777, (status.st_uid, status.st_gid), tuple(below))


def _cover(directory: Directory) -> bool:
    kept: list[tuple[str, int]] = []
    covered = False
    upper, work = (f"{_STORE}/{kind}.{directory.path[1:]}" for kind in ("upper", "work"))
    try:
        kept.extend((point, os.open(point, os.O_PATH | os.O_CLOEXEC)) for point in directory.below)
        os.mkdir(work)  # noqa: PTH102 - strings: every start of a Machine waits for this
        os.mkdir(upper)  # noqa: PTH102
        _become_like(upper, directory)
        _mount_overlay(directory.path, directory.path, upper, work)
        covered = True
        for point, fd in kept:
            ns.mount(f"/proc/self/fd/{fd}", point, None, ns.MS_BIND | ns.MS_REC)
    except (RefusedError, OSError):
        if covered:  # without what is mounted below, it would be less than the directory
            ns.detach(directory.path)
        return False
    finally:
        for _, fd in kept:
            os.close(fd)
    return True


def _become_like(upper: str, directory: Directory) -> None:
    """Give the top of the layer the owner and mode of the directory: they are what is seen of it."""
    if directory.owner != (os.geteuid(), os.getegid()):
        with suppress(OSError):  # an owner that the user namespace has no number for
            os.chown(upper, *directory.owner)
    os.chmod(upper, directory.mode)  # noqa: PTH101


def _mount_overlay(lower: str, target: str, upper: str, work: str) -> None:
    named = (("lowerdir", lower), ("upperdir", upper), ("workdir", work))
    layers = ",".join(f"{name}={_escaped(path)}" for name, path in named)
    try:
        ns.mount("overlay", target, "overlay", 0, f"{layers},userxattr")
    except RefusedError:  # a kernel before 5.11, or a file system in memory without such attributes
        ns.mount("overlay", target, "overlay", 0, layers)


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
