"""What a Machine could take of the host without end: each attempt stops at a number, and gives all of it back."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import resource
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from . import calls
from .attempts import Attempt

if TYPE_CHECKING:
    from collections.abc import Callable

    from .attempts import Targets

_MIB = 1 << 20
_PIECE = b"x" * (4 * _MIB)
_HOLD_SECONDS = 1.0  # the lab looks four times a second


def fill_directories(targets: Targets) -> str:
    """Write into each directory more than a Machine may keep."""
    most = targets["more_than_a_layer_mb"] * _MIB
    found, refused = [], OSError(28, "write")
    for place in targets["directories"]:
        try:
            written = _fill(Path(place, "filled"), most)
        except OSError as error:
            refused = error
        else:
            found.append(f"{written // _MIB} MB in {place}")
    if not found:
        raise refused
    return f"wrote {', '.join(found)}"


def _fill(path: Path, most: int) -> int:
    try:
        with path.open("wb", buffering=0) as file:
            while (written := file.tell()) < most:
                file.write(_PIECE)
        return written
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def _hold(targets: Targets, take: Callable[[int], object], where: str) -> str:
    """Hold twice what the Machine has, for longer than the lab looks away."""
    kept = take(targets["memory_mb"] * 2 * _MIB)
    time.sleep(_HOLD_SECONDS)
    del kept
    return f"held {targets['memory_mb'] * 2} MB {where} for {_HOLD_SECONDS:g} s"


def hold_memory(targets: Targets) -> str:
    def take(size: int) -> object:
        memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for at in range(0, size, len(_PIECE)):
            memory[at : at + len(_PIECE)] = _PIECE
        return memory

    return _hold(targets, take, "of its own")


def _write(fd: int, size: int) -> int:
    for _ in range(0, size, len(_PIECE)):
        os.write(fd, _PIECE)
    return fd


def hold_a_memfd(targets: Targets) -> str:
    return _hold(targets, lambda size: _write(os.memfd_create("held"), size), "in a memfd")


def hold_a_tmpfs(targets: Targets) -> str:
    """Hold memory in /dev/shm, as a file that is open and has no name."""
    path = Path("/dev/shm/held")
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    path.unlink()
    return _hold(targets, lambda size: _write(fd, size), "in /dev/shm")


def hold_system_v_memory(targets: Targets) -> str:
    """Hold a segment of shared memory that no process has attached."""
    number = calls.call("shmget", 0, targets["memory_mb"] * 2 * _MIB, 0o1600)
    try:
        return _hold(targets, lambda size: _fill_segment(number, size), "in a System V segment")
    finally:
        calls.call("shmctl", number, 0, None)


def _fill_segment(number: int, size: int) -> None:
    for at in range(0, size, len(_PIECE)):  # attached anew for each piece: a process holds a piece, and never more
        address = calls.call("shmat", number, None, 0)
        ctypes.memmove(address + at, _PIECE, len(_PIECE))
        ctypes.CDLL(None).shmdt(ctypes.c_void_p(address))


def hold_memory_in_another_pid_namespace(targets: Targets) -> str:
    """Hold memory in a process that is in no pid namespace which the lab knows."""
    try:
        calls.call("unshare", calls.CLONE_NEWPID)
    except OSError:
        calls.become_root_of_a_user_namespace(calls.CLONE_NEWPID)
    child = os.fork()
    if child == 0:
        try:
            hold_memory(targets)
            os._exit(7)
        finally:
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 7:
        return f"a process in a pid namespace of its own held {targets['memory_mb'] * 2} MB"
    return ""


def start_without_end(targets: Targets) -> str:
    """Start threads, which the limit on processes counts as well, and which take no memory of note."""
    end = threading.Event()
    threading.stack_size(64 * 1024)
    started = 0
    try:
        for _ in range(targets["processes"]):
            threading.Thread(target=end.wait).start()
            started += 1
    except RuntimeError:
        return ""
    finally:
        end.set()
    return f"{started} processes at a time"


def open_without_end(targets: Targets) -> str:
    most = targets["descriptors"]
    for wanted in (most + 64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
    fds: list[int] = []
    try:
        while len(fds) < most:
            fds.append(os.dup(0))
    finally:
        for fd in fds:
            os.close(fd)
    return f"{len(fds)} descriptors at a time"


def raise_limits(_: Targets) -> str:
    """Take limits away that the Machine was given."""
    for name in ("RLIMIT_NPROC", "RLIMIT_NOFILE", "RLIMIT_MEMLOCK", "RLIMIT_CORE"):
        number = getattr(resource, name)
        soft, hard = resource.getrlimit(number)
        if hard in (resource.RLIM_INFINITY, -1):
            continue
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(number, (soft, hard + 1))
            return f"raised {name} above {hard}"
    return ""


ATTEMPTS = (
    Attempt("full-directories", "write more into a directory than the Machine may keep", fill_directories, seconds=60),
    Attempt("memory-own", "hold more memory than the Machine has", hold_memory),
    Attempt("memory-memfd", "hold more memory than the Machine has, in a memfd", hold_a_memfd),
    Attempt("memory-system-v", "hold more memory than the Machine has, in a segment of System V", hold_system_v_memory),
    Attempt("memory-dev-shm", "hold more memory than the Machine has, in /dev/shm", hold_a_tmpfs),
    Attempt("memory-pid-namespace", "hold memory where the lab does not look", hold_memory_in_another_pid_namespace),
    Attempt("processes", "fork without end", start_without_end, seconds=60),
    Attempt("descriptors", "open files without end", open_without_end,
            {"few-descriptors": "the host itself allows no process as many"}),
    Attempt("limits", "raise the limits of the Machine", raise_limits,
            not_everywhere="a root without CAP_SYS_RESOURCE can raise none, and one with it may have none"),
)  # fmt: skip
