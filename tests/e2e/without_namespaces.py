"""Run a program that may not unshare: the filter a container engine puts around its containers.

usage: without_namespaces.py PROGRAM ARGUMENT…
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_MODE_FILTER = 2
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_UNSHARE = {"x86_64": 272, "aarch64": 97}
_LOAD_NUMBER = (0x20, 0, 0, 0)  # the number of the call is the first word of what the filter sees


def _instruction(code: int, when_true: int, when_false: int, value: int) -> bytes:
    return struct.pack("HBBI", code, when_true, when_false, value)


def forbid_unshare() -> None:
    """Have the kernel answer EPERM to unshare(2), in this process and all that it starts."""
    program = b"".join(
        (
            _instruction(*_LOAD_NUMBER),
            _instruction(0x15, 0, 1, _UNSHARE[platform.machine()]),
            _instruction(0x06, 0, 0, _ERRNO | errno.EPERM),
            _instruction(0x06, 0, 0, _ALLOW),
        )
    )
    instructions = ctypes.create_string_buffer(program)
    filter_ = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(instructions)))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((_PR_SET_NO_NEW_PRIVS, 1, 0), (_PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(filter_))):
        if libc.prctl(arguments[0], *(ctypes.c_ulong(value) for value in arguments[1:]), 0, 0) != 0:
            raise OSError(ctypes.get_errno(), f"prctl({arguments[0]})")


if __name__ == "__main__":
    forbid_unshare()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - that is what this program is for
