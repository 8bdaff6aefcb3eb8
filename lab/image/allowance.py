"""How much an image may hold: it is unpacked into memory, and a few compressed megabytes can stand for any number.

Rules: Fly refuses an image of more than 8 GB ("Not enough space to unpack image, possibly exceeds maximum of 8GB
uncompressed").  The file system in memory may have room for less.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from lab.errors import LabError

MOST_BYTES = 8 * 1024**3
MOST_FILES = 500_000  # as many as Linux gives a file system of that size by default
_MOST_TAR_BYTES = 4 * MOST_BYTES  # read from layers, each of them twice, with what becomes no file


class TooLargeError(LabError):
    """An image holds more than it may; the text says how much that is, and what to do."""


@dataclass(slots=True)
class Allowance:
    """What the layers of an image hold so far, all together, and the bytes that their files may have."""

    most_bytes: int
    file_bytes: int = 0
    files: int = 0
    tar_bytes: int = 0

    @classmethod
    def of(cls, directory: str) -> Allowance:
        """Return what fits into `directory`, and no more than Fly takes."""
        room = os.statvfs(directory)
        return cls(min(MOST_BYTES, room.f_bavail * room.f_frsize))

    def take(self, *, file_bytes: int = 0, files: int = 0, tar_bytes: int = 0) -> None:
        """Count what a layer holds; raise `TooLargeError` when that is too much."""
        self.file_bytes += file_bytes
        self.files += files
        self.tar_bytes += tar_bytes
        if self.files > MOST_FILES:
            raise TooLargeError(f"expected at most {MOST_FILES} files, got more; leave files out of the image")
        if self.file_bytes > self.most_bytes or self.tar_bytes > _MOST_TAR_BYTES:
            raise self.too_large()

    def too_large(self) -> TooLargeError:
        """Return the error of files that are too large together."""
        why, advice = "what Fly has room for", ""
        if self.most_bytes < MOST_BYTES:
            why, advice = "the room in memory, where an image is unpacked", ", or give this machine more memory"
        expected = f"expected files of at most {self.most_bytes / 1024**3:.1f} GiB together, which is {why}"
        return TooLargeError(f"{expected}, got more; leave files out of the image{advice}")
