"""Write a file whole or not at all: what was there before stays until all of the new text is on the disk.

Rules: the text goes to a new file beside it, which then takes its name (rename(2) is atomic); a symbolic link is
followed; a device, a pipe or a directory is refused, because a rename would put a file in its place; who may read and
write what was there may do so still.
"""

from __future__ import annotations

import os
from argparse import ArgumentTypeError
from pathlib import Path
from stat import S_IMODE

from shell.errors import NotWellError


def writable_file(text: str) -> Path:
    """Read the name of a file that can be written; raise `ArgumentTypeError`, before anything was measured."""
    path = Path(os.path.realpath(text))
    if Path(text).exists() and not Path(text).is_file():
        raise ArgumentTypeError(f"expected a file to write, got {text!r}")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        raise ArgumentTypeError(f"expected a file in a directory that can be written to, got {text!r}")
    return path


def write_whole(path: Path, text: str) -> None:
    """Write a file; raise `NotWellError`, and leave what was there, when that fails."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        try:
            with beside.open("x", encoding="utf-8") as file:
                if path.exists():
                    os.fchmod(file.fileno(), S_IMODE(path.stat().st_mode))
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise NotWellError(f"cannot write {path}: {error.strerror}") from error
