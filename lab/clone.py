"""clone(2): a fork straight into fresh namespaces, on demand as a sibling of the process that calls it.

`os.fork` takes no flags, so it would need a process in between, which unshares, forks and ends: twice the cost.  The
raw call runs none of Python's or libc's fork handlers; call it where there is one thread, as the zygote has.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal

from lab.errors import RefusedError

_CLONE_PARENT = 0x00008000
_NUMBERS = {"x86_64": 56, "aarch64": 220, "riscv64": 220}  # syscalls(2); the flags come first in each
_libc = ctypes.PyDLL(None, use_errno=True)  # keeps the interpreter's lock, which the child would have to get back


def clone(flags: int, *, sibling: bool = True) -> int:
    """Return the pid of a copy of this process in the namespaces of the CLONE_* `flags`; in the copy, return 0.

    A `sibling` is for the parent of this process to reap.
    """
    number = _NUMBERS.get(os.uname().machine)
    if number is None:
        raise RefusedError(f"clone on {os.uname().machine}, expected one of {', '.join(_NUMBERS)}", errno.ENOSYS)
    nothing = (ctypes.c_ulong(0),) * 4  # the same stack, and no place for a thread's id or storage
    flags |= signal.SIGCHLD | (_CLONE_PARENT if sibling else 0)
    pid: int = _libc.syscall(ctypes.c_long(number), ctypes.c_ulong(flags), *nothing)
    if pid < 0:
        raise RefusedError("clone", ctypes.get_errno())
    return pid
