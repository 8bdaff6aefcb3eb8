"""System calls that Python has no name for, by their numbers; a refusal is an `OSError` with the call's name."""

from __future__ import annotations

import ctypes
import os
import platform
from typing import Any

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_RDONLY = 1
MS_NOSUID = 2
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MNT_DETACH = 2
AT_FDCWD = -100

_NUMBERS = {  # x86_64, aarch64; those from 424 on are the same everywhere
    "add_key": (248, 217), "bpf": (321, 280), "chroot": (161, 51), "clock_adjtime": (305, 266),
    "delete_module": (176, 106), "fanotify_init": (300, 262), "init_module": (175, 105), "ioperm": (173, -1),
    "kexec_load": (246, 104), "keyctl": (250, 219), "mount": (165, 40), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265), "perf_event_open": (298, 241), "pivot_root": (155, 41),
    "process_vm_readv": (310, 270), "ptrace": (101, 117), "reboot": (169, 142), "request_key": (249, 218),
    "setns": (308, 268), "shmat": (30, 196), "shmctl": (31, 195), "shmget": (29, 194), "swapon": (167, 224),
    "syslog": (103, 116), "umount2": (166, 39), "unshare": (272, 97), "userfaultfd": (323, 282), "clone": (56, 220),
    "io_uring_setup": (425, 425), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "pidfd_open": (434, 434), "clone3": (435, 435),
    "pidfd_getfd": (438, 438), "mount_setattr": (442, 442),
}  # fmt: skip
_COLUMN = 1 if platform.machine() == "aarch64" else 0
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def call(name: str, *arguments: Any) -> int:
    """Make a system call: numbers as words, texts and bytes as pointers, None as NULL."""
    number = _NUMBERS[name][_COLUMN]
    if number < 0:
        raise OSError(38, f"{name}: this processor has no such call")
    ctypes.set_errno(0)
    result = int(_libc.syscall(ctypes.c_long(number), *map(_word, arguments)))
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


def _word(argument: Any) -> Any:
    if isinstance(argument, int):
        return ctypes.c_long(argument)
    if isinstance(argument, str):
        return ctypes.c_char_p(os.fsencode(argument))
    if isinstance(argument, bytes):
        return ctypes.c_char_p(argument)
    return argument


def mount(source: str, target: str, kind: str | None, flags: int = 0, data: str | None = None) -> None:
    """Mount with the old call."""
    call("mount", source, target, kind, flags, data)


def detach(target: str) -> None:
    """Take the topmost mount on `target` away."""
    call("umount2", target, MNT_DETACH)


def become_root_of_a_user_namespace(flags: int = 0) -> None:
    """Enter a new user namespace, and further ones by `flags`, as its root."""
    uid, gid = os.geteuid(), os.getegid()
    call("unshare", CLONE_NEWUSER | flags)
    for name, line in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        fd = os.open(f"/proc/self/{name}", os.O_WRONLY)
        try:
            os.write(fd, line.encode())
        finally:
            os.close(fd)
