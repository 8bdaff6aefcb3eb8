"""Secrets of the command line, taken out of what every process can read of this one: /proc/PID/cmdline.

Rules (proc_pid_stat(5)): arg_start and arg_end, fields 48 and 49 of /proc/self/stat, say where this process's own
memory has its arguments, each ended by a NUL byte.  Python works with a copy of them.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_FIRST_FIELD, _ARG_START = 3, 48  # the fields before the third may have spaces in them


def hide(settings: Collection[str]) -> None:
    """Overwrite the value of each `NAME=VALUE` that was given as an argument; without a /proc, leave all as it is."""
    with suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        start, end = (int(fields[field - _FIRST_FIELD]) for field in (_ARG_START, _ARG_START + 1))
        if 0 < start < end:
            words = {os.fsencode(text) for text in settings}
            for at, length in values(ctypes.string_at(start, end - start), words):
                ctypes.memset(start + at, ord("*"), length)


def values(arguments: bytes, settings: Collection[bytes]) -> Iterator[tuple[int, int]]:
    """Yield where in `arguments` the values of `settings` are, and how long each is.

    A setting is an argument of its own, or follows the option that it belongs to: `--secret=NAME=VALUE`.
    """
    at = 0
    for word in arguments.split(b"\0"):
        setting = word.partition(b"=")[2] if word.startswith(b"--") else word
        if setting in settings:
            length = len(setting.partition(b"=")[2])
            yield at + len(word) - length, length
        at += len(word) + 1
