"""Read a file whose name came from a person, a fly.toml or an image: a regular file, and no more of it than a bound.

A pipe would wait for its other end, a device may have no end, and either may stand where a file is expected.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket",
}  # fmt: skip


class IrregularError(OSError):
    """The name leads to what is not read: `got` says what it is, `strerror` also what was expected and what to do."""

    def __init__(self, expected: str, got: str) -> None:
        """Word the error as any other of the system."""
        super().__init__(errno.EINVAL, f"expected {expected}, got {got}; name such a file")
        self.got = got


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file to read, without waiting; raise `OSError`, for another kind of file `IrregularError`."""
    file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 - Path.open takes no opener
    mode = os.fstat(file.fileno()).st_mode
    if not stat.S_ISREG(mode):
        file.close()
        raise IrregularError("a regular file", _KINDS.get(stat.S_IFMT(mode), "another kind of file"))
    return file


def read_regular(path: Path, most_bytes: int) -> bytes:
    """Return what is in a regular file of at most `most_bytes`; raise `OSError`, for any other `IrregularError`."""
    expected = f"a regular file of at most {most_bytes} bytes"
    try:
        with open_regular(path) as file:
            content = file.read(most_bytes + 1) or b""  # None is said by a file of /proc that would wait
    except IrregularError as error:
        raise IrregularError(expected, error.got) from None
    if len(content) > most_bytes:
        raise IrregularError(expected, "a larger file")
    return content


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
