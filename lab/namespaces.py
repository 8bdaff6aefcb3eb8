"""The Linux calls the lab stands on: unshare, setns, mount, prctl.

Python has `os.unshare` and `os.setns` from 3.12 only, and `mount` not at all, so libc is called directly.
A refused call raises `RefusedError` with the call in words: that is what `flycast-lab doctor` shows.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lab.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_NAMES = {
    CLONE_NEWUSER: "CLONE_NEWUSER",
    CLONE_NEWNET: "CLONE_NEWNET",
    CLONE_NEWNS: "CLONE_NEWNS",
    CLONE_NEWPID: "CLONE_NEWPID",
    CLONE_NEWCGROUP: "CLONE_NEWCGROUP",
    CLONE_NEWUTS: "CLONE_NEWUTS",
    CLONE_NEWIPC: "CLONE_NEWIPC",
}

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18

_PR_SET_PDEATHSIG = 1
_MNT_DETACH = 2
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, call: str) -> None:
    if result != 0:
        raise RefusedError(call, ctypes.get_errno())


def unshare(flags: int) -> None:
    """Leave the namespaces named by the CLONE_* `flags` for fresh ones."""
    names = "|".join(name for flag, name in CLONE_NAMES.items() if flags & flag)
    _check(_libc.unshare(ctypes.c_int(flags)), f"unshare({names})")


def setns(fd: int) -> None:
    """Join the namespace that `fd` refers to."""
    _check(_libc.setns(ctypes.c_int(fd), ctypes.c_int(0)), "setns")


def join_process(pidfd: int, flags: int) -> None:
    """Join those namespaces of a process that the CLONE_* `flags` name (Linux 5.8)."""
    _check(_libc.setns(ctypes.c_int(pidfd), ctypes.c_int(flags)), "setns(pidfd)")


def mount(source: str, target: str, kind: str | None = None, flags: int = 0, data: str | None = None) -> None:
    """Mount `source` on `target`; `kind` is the file system, None for bind and propagation changes."""
    raw = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    result = _libc.mount(raw[0], raw[1], raw[2], ctypes.c_ulong(flags), raw[3])
    _check(result, f"mount({kind or 'bind'} on {target})")


def pivot_root(new: str, old: str) -> None:
    """Make the mount `new` the root of this mount namespace, and put the old root on `old`."""
    _check(_libc.pivot_root(os.fsencode(new), os.fsencode(old)), "pivot_root")


def detach(target: str) -> None:
    """Take the mount on `target` away, with all below it, as soon as nobody uses it."""
    _check(_libc.umount2(os.fsencode(target), ctypes.c_int(_MNT_DETACH)), f"umount2({target})")


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send `signal_number` to this process when the thread that forked it ends."""
    unused = ctypes.c_ulong(0)
    result = _libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal_number), unused, unused, unused)
    _check(result, "prctl(PR_SET_PDEATHSIG)")


def map_to_root(uid: int, gid: int) -> None:
    """Map `uid` and `gid` of the outer world to 0 in the user namespace just entered."""
    lines = (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1"))
    for name, line in lines:
        try:
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123 - one write(2), no more
                file.write(line)
        except OSError as error:
            raise RefusedError(f"write /proc/self/{name}", error.errno or 0) from error


def new_network_namespace() -> int:
    """Return a descriptor that keeps a fresh, empty network namespace alive."""
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        unshare(CLONE_NEWNET)
        fresh = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        setns(here)
        return fresh
    finally:
        os.close(here)


@contextmanager
def inside(namespace: int, kind: str = "net") -> Iterator[None]:
    """Run the block in a `namespace` of that `kind`, as /proc names it; a socket made there stays there for ever."""
    here = os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(namespace)
        try:
            yield
        finally:
            setns(here)
    finally:
        os.close(here)
