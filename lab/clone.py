"""clone(2): processes that begin in fresh namespaces.

The raw call runs none of Python's or libc's fork handlers; call these where there is one thread, as the zygote has.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lab.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLONE_VM, _CLONE_PARENT = 0x00000100, 0x00008000
_NUMBERS = {"x86_64": 56, "aarch64": 220, "riscv64": 220}  # syscalls(2); the flags come first in each
_STACK_BYTES = 65536
_libc = ctypes.PyDLL(None, use_errno=True)  # keeps the interpreter's lock, which the child would have to get back


def clone(flags: int) -> int:
    """Return the pid of a copy of this process in the namespaces of the CLONE_* `flags`; in the copy, return 0.

    It is a sibling: the parent of this process is the one to reap it.  `os.fork` takes no flags, so it would need a
    process in between, which unshares, forks and ends: twice the cost.
    """
    number = _NUMBERS.get(os.uname().machine)
    if number is None:
        raise RefusedError(f"clone on {os.uname().machine}, expected one of {', '.join(_NUMBERS)}", errno.ENOSYS)
    nothing = (ctypes.c_ulong(0),) * 4  # the same stack, and no place for a thread's id or storage
    flags |= signal.SIGCHLD | _CLONE_PARENT
    pid: int = _libc.syscall(ctypes.c_long(number), ctypes.c_ulong(flags), *nothing)
    if pid < 0:
        raise RefusedError("clone", ctypes.get_errno())
    return pid


@contextmanager
def held(flags: int) -> Iterator[int]:
    """Give the pid of a child in fresh namespaces of the CLONE_* `flags` for as long as the block takes.

    The child waits in libc's pause(3), on a stack of its own in this process's memory: to copy that memory, only to
    have somebody in the namespaces, would take more time than to make them.
    """
    with mmap.mmap(-1, _STACK_BYTES) as stack:
        first = ctypes.c_char.from_buffer(stack)
        top = ctypes.c_void_p(ctypes.addressof(first) + _STACK_BYTES)
        wait = ctypes.cast(_libc.pause, ctypes.c_void_p)
        pid = _libc.clone(wait, top, ctypes.c_int(flags | _CLONE_VM | signal.SIGCHLD), None)
        number = ctypes.get_errno()
        try:
            if pid < 0:
                raise RefusedError("clone", number)
            yield pid
        finally:
            if pid > 0:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            del first  # the memory cannot be given back while a name points to it
