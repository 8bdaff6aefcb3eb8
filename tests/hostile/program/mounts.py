"""Mounts: making them, changing them, moving the root directory."""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path
from typing import TYPE_CHECKING

from . import calls
from .attempts import Attempt, NotTriedError
from .uncover import mount_points, text_of

if TYPE_CHECKING:
    from .attempts import Targets


def climb_out_of_a_chroot(targets: Targets) -> str:
    fd = os.open("/", os.O_RDONLY)
    Path("cell").mkdir(exist_ok=True)
    calls.call("chroot", "cell")
    os.fchdir(fd)
    for _ in range(64):
        os.chdir("..")
    calls.call("chroot", ".")
    return next((f"read {path}" for path in targets["secret_files"] if targets["marker"]["file"] in text_of(path)), "")


def pivot_the_root(_: Targets) -> str:
    with contextlib.suppress(OSError):
        calls.call("unshare", calls.CLONE_NEWNS)
    Path("pivot").mkdir(exist_ok=True)
    calls.mount("none", "/", None, calls.MS_REC | (1 << 18))
    calls.mount("pivot", "pivot", None, calls.MS_BIND)
    os.chdir("pivot")
    calls.call("pivot_root", ".", ".")
    return "pivot_root moved the root directory"


def mount_with_the_old_call(_: Targets) -> str:
    with contextlib.suppress(OSError):
        calls.call("unshare", calls.CLONE_NEWNS)
    Path("mounted").mkdir(exist_ok=True)
    found, refused = [], OSError(1, "mount")
    for kind, data in (("tmpfs", None), ("proc", None), ("sysfs", None), ("devpts", "newinstance"), ("mqueue", None),
                       ("overlay", "lowerdir=/usr:/etc"), ("cgroup2", None)):  # fmt: skip
        try:
            calls.mount(kind, "mounted", kind, 0, data)
            found.append(kind)
        except OSError as error:
            refused = error
    with contextlib.suppress(OSError):
        calls.mount("/", "mounted", None, calls.MS_BIND | calls.MS_REC)
        found.append("bind")
    if not found:
        raise refused
    return f"mounted: {', '.join(found)}"


def mount_with_the_new_calls(_: Targets) -> str:
    with contextlib.suppress(OSError):
        calls.call("unshare", calls.CLONE_NEWNS)
    found, refused = [], OSError(1, "fsopen")
    try:
        fd = calls.call("fsopen", "tmpfs", 0)
        calls.call("fsconfig", fd, 6, None, None, 0)  # FSCONFIG_CMD_CREATE
        mounted = calls.call("fsmount", fd, 0, 0)
        calls.call("move_mount", mounted, "", calls.AT_FDCWD, "/tmp", 4)  # MOVE_MOUNT_F_EMPTY_PATH
        found.append("fsopen and move_mount")
    except OSError as error:
        refused = error
    with contextlib.suppress(OSError):
        calls.call("open_tree", calls.AT_FDCWD, "/", 1 | 0x8000)  # OPEN_TREE_CLONE, AT_RECURSIVE
        found.append("open_tree")
    if not found:
        raise refused
    return f"mounted with: {', '.join(found)}"


def remount_for_writing(_: Targets) -> str:
    """Make a mount writable that is mounted read-only."""
    with contextlib.suppress(OSError):
        calls.call("unshare", calls.CLONE_NEWNS)
    with contextlib.suppress(OSError):  # where no mount is read-only, one is made so that can be
        calls.mount("/usr", "/usr", None, calls.MS_BIND)
        calls.mount("none", "/usr", None, calls.MS_REMOUNT | calls.MS_BIND | calls.MS_RDONLY)
    read_only = [point for point in mount_points() if os.access(point, os.F_OK) and os.statvfs(point).f_flag & 1]
    if not read_only:
        raise NotTriedError("no mount is read-only")
    refused = OSError(1, "mount")
    for point in read_only:
        for attributes in (calls.MS_REMOUNT | calls.MS_BIND, calls.MS_REMOUNT):
            try:
                calls.mount("none", point, None, attributes)
            except OSError as error:
                refused = error
            else:
                return f"{point} is mounted for writing now"
        with contextlib.suppress(OSError):
            calls.call("mount_setattr", calls.AT_FDCWD, point, 0, ctypes.byref((ctypes.c_uint64 * 4)(0, 1, 0, 0)), 32)
            return f"{point} is mounted for writing now, by mount_setattr"
    raise refused


ATTEMPTS = (
    Attempt("chroot", "climb out of a chroot", climb_out_of_a_chroot),
    Attempt("pivot-root", "move the root directory", pivot_the_root),
    Attempt("mount", "mount file systems with mount(2)", mount_with_the_old_call),
    Attempt("mount-api", "mount with fsopen, open_tree and move_mount", mount_with_the_new_calls),
    Attempt("remount", "make a read-only mount writable", remount_for_writing),
)
