"""Copies of mounts with attributes of their own: open_tree(2), mount_setattr(2), move_mount(2).

A bind mount is made read-only with everything that is mounted below it in one step, and it keeps the attributes that
a user namespace may not take away.  `ids` maps owners (an "idmapped mount").  All three calls need Linux 5.12.
"""

from __future__ import annotations

import ctypes
import os

from lab.errors import RefusedError

READ_ONLY = 0x1  # MOUNT_ATTR_RDONLY
NO_SETUID = 0x2  # MOUNT_ATTR_NOSUID
NO_DEVICES = 0x4  # MOUNT_ATTR_NODEV

_IDMAP = 0x00100000
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442  # these calls have one number on every architecture
_AT_FDCWD = -100
_CLONE = 0x1
_AT_RECURSIVE, _AT_EMPTY_PATH = 0x8000, 0x1000
_FROM_EMPTY_PATH = 0x4
_libc = ctypes.CDLL(None, use_errno=True)


class _Attributes(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "user_namespace"))


def bind(source: str, target: str, attributes: int, *, below: bool = True, ids: int | None = None) -> None:
    """Mount `source` on `target` with `attributes`, and with `below` also what is mounted below it.

    `ids` is the descriptor of a user namespace: its map turns the owners on the disk into those that are seen.
    Raises `RefusedError` and mounts nothing when the kernel refuses one of the steps.
    """
    recursive = _AT_RECURSIVE if below else 0
    flags = _CLONE | os.O_CLOEXEC | recursive
    tree = _call("open_tree", _OPEN_TREE, source, ctypes.c_int(_AT_FDCWD), os.fsencode(source), ctypes.c_uint(flags))
    try:
        _set_attributes(tree, source, attributes, recursive, ids)
        target_path = (ctypes.c_int(_AT_FDCWD), os.fsencode(target))
        _call("move_mount", _MOVE_MOUNT, target, ctypes.c_int(tree), b"", *target_path, ctypes.c_uint(_FROM_EMPTY_PATH))
    finally:
        os.close(tree)


def _set_attributes(tree: int, source: str, attributes: int, recursive: int, ids: int | None) -> None:
    wanted = _Attributes(attributes | (0 if ids is None else _IDMAP), 0, 0, ids or 0)
    size = ctypes.c_size_t(ctypes.sizeof(wanted))
    flags = ctypes.c_uint(_AT_EMPTY_PATH | recursive)
    _call("mount_setattr", _MOUNT_SETATTR, source, ctypes.c_int(tree), b"", flags, ctypes.byref(wanted), size)


def _call(name: str, number: int, path: str, *arguments: object) -> int:
    result: int = _libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise RefusedError(f"{name}({path})", ctypes.get_errno())
    return result
