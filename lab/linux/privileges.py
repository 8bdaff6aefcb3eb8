"""What a process gives up before it runs a program that nobody vouches for: capabilities(7), prctl(2), keyctl(2)."""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.machinery import BuiltinImporter
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Collection

_SET_DUMPABLE, _DROP_FROM_BOUNDING_SET = 4, 24
_CAPSET_VERSION = 0x20080522  # _LINUX_CAPABILITY_VERSION_3: two words of 32 capabilities each
_KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219}
_JOIN_SESSION_KEYRING = 1
_libc = ctypes.CDLL(None, use_errno=True)


def hide_memory() -> None:
    """Let no process without CAP_SYS_PTRACE, at the place where this program began, read this one's memory."""
    _check(_libc.prctl(_SET_DUMPABLE, *_numbers(0, 0, 0, 0)), "prctl(PR_SET_DUMPABLE)")


def stop_importing() -> None:
    """Import nothing more from files: under another root directory they would be somebody else's."""
    sys.meta_path[:] = [BuiltinImporter]


def leave_keyrings() -> None:
    """Have a new, empty session keyring; a kernel without keyrings has nothing to leave."""
    number = _KEYCTL.get(os.uname().machine)
    if number is not None:
        _libc.syscall(ctypes.c_long(number), ctypes.c_int(_JOIN_SESSION_KEYRING), None)


def limit_capabilities(kept: Collection[int]) -> None:
    """Take every capability but `kept`, by number, out of the bounding set: no program can get it from then on."""
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text("ascii"))
    for capability in set(range(last + 1)) - set(kept):
        _check(_libc.prctl(_DROP_FROM_BOUNDING_SET, *_numbers(capability, 0, 0, 0)), "prctl(PR_CAPBSET_DROP)")


def keep_only(kept: Collection[int]) -> None:
    """Have the capabilities `kept`, by number, and no other; a program inherits none unless it runs as root."""
    wanted = sum(1 << capability for capability in kept)
    low, high = wanted & 0xFFFFFFFF, wanted >> 32
    header = (ctypes.c_uint32 * 2)(_CAPSET_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)  # effective, permitted, inheritable; twice
    _check(_libc.capset(header, sets), "capset")


def _numbers(*values: int) -> list[ctypes.c_ulong]:
    return [ctypes.c_ulong(value) for value in values]


def _check(result: int, call: str) -> None:
    if result != 0:
        raise RefusedError(call, ctypes.get_errno())
