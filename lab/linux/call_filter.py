"""A seccomp(2) filter that refuses system calls by name: a program for the kernel's packet filter, built here.

Rules: the filter sees the number of a call and its arguments, not the memory they point to.  A call of another
architecture's numbering (32-bit programs, x32) could get around the names, so all of those are refused.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import TYPE_CHECKING

from lab.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CLONE_NEWUSER = 0x10000000

# (AUDIT_ARCH_*, which of the two numberings): arm64 and RISC-V share the generic one
_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1), "riscv64": (0xC00000F3, 1)}
_NUMBERS = {
    "add_key": (248, 217),
    "bpf": (321, 280),
    "clone": (56, 220),
    "clone3": (435, 435),
    "delete_module": (176, 106),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioctl": (16, 29),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pivot_root": (155, 41),
    "request_key": (249, 218),
    "setns": (308, 268),
    "setsockopt": (54, 208),
    "socket": (41, 198),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF_LD|W|ABS, BPF_JMP|…|K, BPF_RET|K
_CALL, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data; an argument's low half comes first
_ARGUMENT_BYTES = 8
_X32 = 0x40000000
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO
_INSTRUCTION = struct.Struct("=HBBI")
_SET_SECCOMP, _MODE_FILTER = 22, 2
_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def program(
    refused: Iterable[str], by_argument: Mapping[str, Iterable[Mapping[int, int]]], machine: str | None = None
) -> bytes:
    """Return the filter for this machine's architecture, or for `machine` as uname(2) names it.

    `refused` are calls that fail with EPERM.  `by_argument` refuses a call when all arguments of one of its conditions
    (0 is the first) have the value there; `clone` and `unshare` are refused for a new user namespace, and clone3, whose
    arguments the filter cannot see, does not exist (ENOSYS), so that libc calls clone.
    """
    machine = machine or os.uname().machine
    audit, numbering = _ARCHITECTURES.get(machine, (0, 0))
    if not audit:
        raise RefusedError(f"seccomp on {machine}, expected one of {', '.join(_ARCHITECTURES)}", errno.ENOSYS)
    number = {name: both[numbering] for name, both in _NUMBERS.items()}
    no, unknown = _REFUSE | errno.EPERM, _REFUSE | errno.ENOSYS
    made = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, audit), (_RETURN, 0, 0, unknown)]
    made += [(_LOAD, 0, 0, _CALL), (_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, unknown)]
    for name in refused:
        made += [(_EQUAL, 0, 1, number[name]), (_RETURN, 0, 0, no)]
    made += [(_EQUAL, 0, 1, number["clone3"]), (_RETURN, 0, 0, unknown)]
    for name in ("clone", "unshare"):
        made += _if_called(number[name], [*_load_argument(0), (_ANY_BIT, 0, 1, CLONE_NEWUSER), (_RETURN, 0, 0, no)])
    for name, conditions in by_argument.items():
        made += _if_called(number[name], [line for values in conditions for line in _if_equal(values, no)])
    made.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(_INSTRUCTION.pack(*line) for line in made)


def _if_called(number: int, then: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """Do `then` for that call, and allow it unless `then` refuses it."""
    then = [*then, (_RETURN, 0, 0, _ALLOW)]
    return [(_EQUAL, 0, len(then), number), *then]


def _if_equal(values: Mapping[int, int], then: int) -> list[tuple[int, int, int, int]]:
    """Return `then` when every argument has its value, else go on behind this."""
    made = [(_RETURN, 0, 0, then)]
    for argument, value in values.items():
        made = [*_load_argument(argument), (_EQUAL, 0, len(made), value), *made]
    return made


def _load_argument(which: int) -> list[tuple[int, int, int, int]]:
    return [(_LOAD, 0, 0, _FIRST_ARGUMENT + which * _ARGUMENT_BYTES)]


def install(instructions: bytes) -> None:
    """Put the filter on this process and all that it starts; there is no way back.  Needs CAP_SYS_ADMIN."""
    filled = _Program(len(instructions) // _INSTRUCTION.size, instructions)
    unused = ctypes.c_ulong(0)
    mode = ctypes.c_ulong(_MODE_FILTER)
    if _libc.prctl(_SET_SECCOMP, mode, ctypes.byref(filled), unused, unused) != 0:
        raise RefusedError("prctl(PR_SET_SECCOMP)", ctypes.get_errno())
