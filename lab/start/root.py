"""The file system of a Machine, made in a fresh mount namespace: of the host's files, or of an image.

The root is a file system in memory of bounded size, which goes at a stop.  What the host gives is mounted into it
read-only, or as the lower layer of an overlay whose upper layer is that memory; everything else of the host is not
there, and the lab's own root is let go at the end, so there is nothing to uncover.

The new root is entered before anything is mounted into it: no link in an image or in a directory of the host can lead
out of it.  Until the end the lab's root is the current directory, so a relative path is the lab's and an absolute one
the Machine's.
"""

from __future__ import annotations

import os
import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import namespaces as ns
from lab.errors import LabError, RefusedError
from lab.linux import mounts
from lab.start import etc, rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.start.ids import Ids

SOCKETS = Path("/run/fly")  # in the lab; each Machine finds its own directory of it as /.fly
FLY_DIRECTORY = "/.fly"
_LAYER, _ROOT, _ETC, _DEVICES = "run/layer", "run/root", "run/etc", "run/devices"
_READ_ONLY = mounts.READ_ONLY | mounts.NO_SETUID
_PLAIN = ns.MS_NOSUID | ns.MS_NODEV | ns.MS_NOEXEC
_DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
_INODES_PER_MB = 64
_RUN_MB = 16
_PLACES_IN_AN_IMAGE = ("/proc", "/sys", "/dev", "/run", "/etc", FLY_DIRECTORY)
_OF_AN_IMAGE = ("hosts", "resolv.conf", "hostname")
_NEEDS_ESCAPE = re.compile(r"([\\:,])")


@dataclass(frozen=True, slots=True)
class Ground:
    """What every Machine of a lab has in common: whose ids they have, how much they may write."""

    ids: Ids
    namespace: int | None  # a user namespace with these ids, where owners of files can be mapped
    disk_mb: int


def prepare() -> None:
    """Make, once in a lab, what all its Machines build on: the devices; later calls find them."""
    os.chdir("/")
    os.mkdir(_DEVICES)  # noqa: PTH102 - here and below: every start of a Machine waits for this
    ns.mount("tmpfs", _DEVICES, "tmpfs", ns.MS_NOSUID | ns.MS_NOEXEC, "mode=755,size=64k")
    for name in rules.DEVICES:
        Path(_DEVICES, name).touch()
        ns.mount(f"/dev/{name}", f"{_DEVICES}/{name}", None, ns.MS_BIND)
    for name, place in _DEVICE_LINKS.items():
        Path(_DEVICES, name).symlink_to(place)
    for name in ("pts", "shm", "mqueue"):
        Path(_DEVICES, name).mkdir()
    for name in (_LAYER, _ROOT):
        os.mkdir(name)  # noqa: PTH102


def prepare_etc(ids: Ids) -> None:
    """Make, once in a lab, the copy of /etc; only Machines without an image need it."""
    if not Path("/", _ETC).exists():
        etc.copy("/etc", f"/{_ETC}", ids.root)


def lay(ground: Ground, image: str | None) -> None:
    """Enter a new root with all that does not depend on which Machine it is for.

    `image` is the directory of the image that it runs, else it has the system directories of the host.
    """
    os.chdir("/")
    user, group = ground.ids.root
    size = _bounds(ground.disk_mb)
    ns.mount("tmpfs", _LAYER, "tmpfs", ns.MS_NOSUID | ns.MS_NODEV, f"mode=755,{size},uid={user},gid={group}")
    if image is None:
        os.mkdir(f"{_LAYER}/root")  # noqa: PTH102
        os.chown(f"{_LAYER}/root", user, group)
        ns.mount(f"{_LAYER}/root", _ROOT, None, ns.MS_BIND)
        _enter()
        _show_system(ground)
    else:
        _overlay(image[1:], _ROOT, "image", ground.ids)
        _enter()
        for place in _PLACES_IN_AN_IMAGE:
            with suppress(OSError):  # a directory stays; a link of the image would lead out, by /proc/self/cwd
                os.unlink(place)  # noqa: PTH108
            _make(place, ground.ids)
        owner = f"mode=755,uid={user},gid={group}"
        ns.mount("tmpfs", "/run", "tmpfs", ns.MS_NOSUID | ns.MS_NODEV, f"{owner},{_bounds(_RUN_MB)}")
    _show_devices()
    _show_processes()


def furnish(ground: Ground, request: Mapping[str, Any]) -> list[str]:
    """Add what this Machine alone has; return what differs from Fly, in sentences.

    The lab's root goes before the first file is written, so that no name of an image can lead there.
    """
    told: list[str] = []
    socket.sethostname(request["machine_id"])
    with suppress(RefusedError):  # in a container whose engine covered parts of its own: it stays empty
        ns.mount("sysfs", "/sys", "sysfs", _PLAIN | ns.MS_RDONLY)
    own = f"{SOCKETS}/{request['machine_id']}"[1:]
    if Path(own).is_dir():
        _make(FLY_DIRECTORY, ground.ids)
        mounts.bind(own, FLY_DIRECTORY, _READ_ONLY | mounts.NO_DEVICES)
    files = request["files"]
    if request["image"]:
        files = {name: files[name] for name in _OF_AN_IMAGE}
    else:
        _show_installations(request["installations"], ground.ids)
        told += _show_app(request["directory"], ground)
    ns.detach(".")
    os.chdir("/")
    etc.write(files, ground.ids.root)
    return told


def _bounds(megabytes: int) -> str:
    """Return the options that bound a file system in memory: an empty file takes memory of the kernel, too."""
    return f"size={megabytes}m,nr_inodes={megabytes * _INODES_PER_MB}"


def _enter() -> None:
    """Make the new root this process's root, and keep the lab's as the current directory: pivot_root(2)."""
    old = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    os.chdir(_ROOT)
    ns.pivot_root(".", ".")
    os.fchdir(old)
    os.close(old)


def _make(path: str, ids: Ids, mode: int = 0o755) -> None:
    """Make a directory of the Machine's root, unless it is there."""
    with suppress(FileExistsError):
        os.mkdir(path)  # noqa: PTH102
        os.chown(path, *ids.root)
        os.chmod(path, mode)  # noqa: PTH101 - whatever the umask is


def _show_system(ground: Ground) -> None:
    for name in rules.SYSTEM_DIRECTORIES:
        if os.path.islink(name):  # noqa: PTH114
            os.symlink(os.readlink(name).lstrip("/"), f"/{name}")  # noqa: PTH115, PTH211
        elif os.path.isdir(name):  # noqa: PTH112
            _make_all(f"/{name}", ground.ids)
            _show_directory(name, ground.ids)
    for name in ("proc", "sys", "dev", "etc"):
        _make(f"/{name}", ground.ids)
    for name, mode in rules.FRESH_DIRECTORIES.items():
        _make(f"/{name}", ground.ids, mode)
    for name, place in rules.FRESH_LINKS.items():
        os.symlink(place, f"/{name}")  # noqa: PTH211
    _overlay(_ETC, "/etc", "etc", ground.ids)


def _show_directory(name: str, ids: Ids) -> None:
    if name in rules.WITH_SOCKETS:
        with suppress(RefusedError):  # no overlay here: then as the others, and what an app reaches there is told
            _overlay(name, f"/{name}", name, ids, ns.MS_RDONLY | ns.MS_NOSUID)
            return
    mounts.bind(name, f"/{name}", _READ_ONLY | mounts.NO_DEVICES)


def _show_devices() -> None:
    mounts.bind(_DEVICES, "/dev", _READ_ONLY)
    terminals = f"newinstance,ptmxmode=0666,mode=620,max={rules.TERMINALS}"
    ns.mount("devpts", "/dev/pts", "devpts", ns.MS_NOSUID | ns.MS_NOEXEC, terminals)
    size = f"mode=1777,{_bounds(rules.SHARED_MEMORY_MB)}"
    ns.mount("tmpfs", "/dev/shm", "tmpfs", ns.MS_NOSUID | ns.MS_NODEV, size)  # noqa: S108 - the Machine's own
    with suppress(RefusedError):  # a kernel without POSIX message queues
        ns.mount("mqueue", "/dev/mqueue", "mqueue", _PLAIN)


def _show_processes() -> None:
    try:
        ns.mount("proc", "/proc", "proc", _PLAIN)
    except RefusedError:  # in a container whose engine covered parts of its own: that is what there is
        mounts.bind("proc", "/proc", mounts.NO_SETUID | mounts.NO_DEVICES)
    mounts.bind("/proc/sys", "/proc/sys", _READ_ONLY)
    with suppress(RefusedError):  # a kernel without keys
        mounts.bind("/dev/null", "/proc/keys", mounts.READ_ONLY)


def _show_installations(paths: list[str], ids: Ids) -> None:
    for path in paths:
        source = path[1:]
        if os.path.isdir(source):  # noqa: PTH112
            _make_all(path, ids)
        else:
            _make_all(os.path.dirname(path), ids)  # noqa: PTH120
            Path(path).touch()
        mounts.bind(source, path, _READ_ONLY | mounts.NO_DEVICES)


def _show_app(directory: str, ground: Ground) -> list[str]:
    """Show the app's directory at its own path with a layer above it; return what cannot be so, in a sentence."""
    source = directory[1:]
    _make_all(directory, ground.ids)
    told = []
    lower = source
    if ground.namespace is not None:
        os.mkdir(f"{_LAYER}/lower")  # noqa: PTH102
        lower = f"{_LAYER}/lower"
        try:
            mounts.bind(source, lower, _READ_ONLY | mounts.NO_DEVICES, below=False, ids=ground.namespace)
        except RefusedError as error:
            lower = source
            told.append(
                f"{directory} keeps its owners, because this host refused {error}: a Machine reads what every user "
                f"of the host may read there, and writes new files at its top"
            )
    try:
        _overlay(lower, directory, "app", ground.ids)
    except RefusedError as error:
        mounts.bind(source, directory, _READ_ONLY | mounts.NO_DEVICES)
        told.append(f"{directory} is read-only, because this host refused {error}; on Fly an app may write there")
    return told


def _make_all(path: str, ids: Ids) -> None:
    """Make a directory of the Machine with those above it."""
    if not os.path.isdir(path):  # noqa: PTH112
        _make_all(os.path.dirname(path), ids)  # noqa: PTH120
        try:
            _make(path, ids)
        except OSError as error:
            raise LabError(f"{path} cannot be shown in a Machine: {error.strerror}") from None


def _overlay(lower: str, target: str, name: str, ids: Ids, flags: int = 0) -> None:
    """Mount `lower` of the lab on `target`, with a layer of the Machine's memory above it."""
    upper, work = f"{_LAYER}/{name}.upper", f"{_LAYER}/{name}.work"
    status = os.stat(lower)  # noqa: PTH116
    os.mkdir(upper)  # noqa: PTH102
    os.mkdir(work)  # noqa: PTH102
    os.chown(upper, *ids.root)  # the top of the layer is what is seen of the directory itself
    os.chmod(upper, status.st_mode & 0o7777)  # noqa: PTH101
    named = (("lowerdir", lower), ("upperdir", upper), ("workdir", work))
    layers = ",".join(f"{key}={_escaped(path)}" for key, path in named)
    try:
        ns.mount("overlay", target, "overlay", ns.MS_NODEV | flags, f"{layers},userxattr")
    except RefusedError:  # a kernel before 5.11, or a file system in memory without such attributes
        ns.mount("overlay", target, "overlay", ns.MS_NODEV | flags, layers)


def _escaped(path: str) -> str:
    return _NEEDS_ESCAPE.sub(r"\\\1", path)
