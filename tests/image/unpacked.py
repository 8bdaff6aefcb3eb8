"""An image unpacked into a directory that a test can look at."""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

import pytest

from lab.image.archive import read
from lab.image.storage import open_archive
from lab.image.unpack import unpack
from tests.image.layers import FOLDER, PIPE, layer, oci_archive

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from tarfile import TarInfo

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="unpacking outside of a lab takes root, for chroot")


def unpacked(tmp_path: Path, *layers: bytes | Mapping[str, str | bytes | TarInfo]) -> Path:
    """Return the directory; it is in one of its own, so that what leads out of it is seen."""
    contents = [each if isinstance(each, bytes) else layer(each) for each in layers]
    root = tmp_path / "outside" / "root"
    shutil.rmtree(root, ignore_errors=True)
    unpack(read("mine", open_archive(f"oci-archive:{oci_archive(tmp_path / 'image.tar', contents)}")), str(root), None)
    return root


def tree(root: Path) -> dict[str, str]:
    """Return what is in a directory, as `layer` takes it, but for hard links: they are files."""
    return {str(path.relative_to(root)): _told(path) for path in root.rglob("*")}


def _told(path: Path) -> str:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return f"-> {path.readlink()}"
    return FOLDER if stat.S_ISDIR(mode) else PIPE if stat.S_ISFIFO(mode) else path.read_text()
