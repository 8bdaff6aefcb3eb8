"""What a layer of an image makes of the file system below it, which is the root directory of this process.

Rules (OCI image specification, "Image Layer Filesystem Changeset"):
- Whiteouts take away what lower layers have, and are applied before all else, wherever in the layer they stand:
  `.wh.NAME` takes NAME away, `.wh..wh..opq` all that is in its directory.
- An entry takes the place of whatever has its name. Of two directories, what is in the lower one stays, and its owner,
  mode and time become those of the upper one.

What the specification leaves open is as containerd has it:
- A name is taken word by word: `a/../b` is `b` whatever `a` is, and no `..` leads above the root.
- A name below a symbolic link is where the link leads. A link that this layer replaces leads nowhere.
- A directory that no layer describes is made for what is in it, and belongs to root.

Devices are not made, because Machines get theirs from the lab; they take a name away all the same.
"""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from enum import IntEnum, auto
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import tarfile
    from collections.abc import Iterable

    from lab.image.allowance import Allowance

# Strings and not `Path`, because this is done for every file of an image.
# ruff: noqa: PTH101, PTH102, PTH108, PTH112, PTH114, PTH118, PTH120, PTH123, PTH208, PTH211

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_PIECE_BYTES = 1024 * 1024


class _Change(IntEnum):
    """What happens to a name before anything is put there, in this order."""

    HIDDEN = auto()
    NAMED = auto()
    EMPTIED = auto()


def apply(layer: tarfile.TarFile, allowance: Allowance) -> None:
    """Lay a layer over what is there; raise `TooLargeError` before anything is changed when it has no room."""
    entries = []
    for entry in layer:
        allowance.take(files=1, file_bytes=entry.size if entry.isreg() else 0)
        entries.append((_path(entry.name), entry))
    _clear(path for path, _ in entries)
    times: dict[str, float] = {}
    for path, entry in entries:
        if f"/{_WHITEOUT}" in path:
            continue
        if path == "/" and not entry.isdir():
            raise ValueError(f"expected a directory for the root of the image, got {entry.name!r} of another kind")
        _have_directory(os.path.dirname(path), allowance)
        _make(path, entry, layer)
        if entry.isdir():
            times[path] = entry.mtime
    for path, mtime in times.items():  # only now: making what is in a directory has changed its time
        _set_time(path, mtime)


def _path(name: str) -> str:
    return os.path.normpath("/" + name.lstrip("/"))


def _clear(paths: Iterable[str]) -> None:
    """Take away what a layer hides, and links that it replaces."""
    for path, change in sorted(map(_change, paths)):  # a directory comes before what is in it
        if change is _Change.HIDDEN:
            _remove(path)
        elif change is _Change.EMPTIED:
            _empty(path)
        elif os.path.islink(path):
            os.unlink(path)


def _change(path: str) -> tuple[str, _Change]:
    directory, name = os.path.split(path)
    if name == _OPAQUE:
        return directory, _Change.EMPTIED
    if not name.startswith(_WHITEOUT):
        return path, _Change.NAMED
    hidden = name.removeprefix(_WHITEOUT)
    if hidden in {"", ".", ".."}:
        raise ValueError(f"expected a whiteout of a name, got {path!r}")
    return os.path.join(directory, hidden), _Change.HIDDEN


def _empty(directory: str) -> None:
    if os.path.isdir(directory):
        for name in os.listdir(directory):
            _remove(os.path.join(directory, name))


def _have_directory(path: str, allowance: Allowance) -> None:
    """Make the directory that an entry is in: where a link leads, or in place of what is no directory."""
    if os.path.isdir(path):
        return
    _have_directory(os.path.dirname(path), allowance)
    target = os.path.realpath(path)
    if target != path and not os.path.lexists(target):
        _have_directory(target, allowance)
        return
    allowance.take(files=1)
    _remove(path)
    os.mkdir(path)


def _make(path: str, entry: tarfile.TarInfo, layer: tarfile.TarFile) -> None:
    if entry.isdir():
        if not _is_directory(path):
            _remove(path)
            os.mkdir(path)
    elif entry.islnk():
        _link(_path(entry.linkname), path)
        return  # to a file that has the owner, mode and time of its own entry
    else:
        _remove(path)
        if entry.ischr() or entry.isblk():
            return
        if entry.issym():
            os.symlink(entry.linkname, path)
        elif entry.isfifo():
            os.mkfifo(path)
        else:
            _write(path, entry, layer)
    with suppress(OSError, OverflowError):  # an owner that a user namespace has no number for, or nobody has
        os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
    if not entry.issym():
        os.chmod(path, stat.S_IMODE(entry.mode))  # after chown, which takes the bits for set-user-id away
    _set_time(path, entry.mtime)


def _write(path: str, entry: tarfile.TarInfo, layer: tarfile.TarFile) -> None:
    _require_order(entry)
    content = layer.extractfile(entry)
    if content is not None:
        with open(path, "xb") as file:
            shutil.copyfileobj(content, file, _PIECE_BYTES)


def _require_order(entry: tarfile.TarInfo) -> None:
    """Raise `ValueError` for a sparse file whose parts overlap: tarfile would look for one of them for ever."""
    end = 0
    for offset, size in cast("list[tuple[int, int]]", entry.sparse or []):
        if size and not end <= offset < offset + size <= entry.size:
            raise ValueError(f"expected the parts of the sparse file {entry.name!r} in order and within its size")
        end = max(end, offset + size)


def _link(target: str, path: str) -> None:
    try:
        os.link(target, path, follow_symlinks=False)
    except FileExistsError:
        if not os.path.samestat(os.lstat(target), os.lstat(path)):
            _remove(path)
            os.link(target, path, follow_symlinks=False)


def _set_time(path: str, mtime: float) -> None:
    with suppress(OSError, OverflowError, ValueError):  # a time that no file system has
        os.utime(path, (mtime, mtime), follow_symlinks=False)


def _is_directory(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except IsADirectoryError:
        shutil.rmtree(path)
    except OSError:
        if os.path.lexists(path):
            raise
