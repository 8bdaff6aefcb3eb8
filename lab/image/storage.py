"""Where an image comes from: a file, or the local storage of buildah, podman or docker.

What their storage holds is written to a temporary file, which has no name any more when the lab begins: nothing is
mounted, no working container is made, and so nothing can be left behind.  Their own settings choose the storage;
another one is named as their tools name it, `containers-storage:[DRIVER@ROOT+RUNROOT]NAME`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import LabError, UsageError
from shell.flytoml.regular_file import open_regular

if TYPE_CHECKING:
    from collections.abc import Callable

_FILES = ("oci-archive:", "docker-archive:")
_SAVE_SECONDS = 300
# Docker's format, because the layers in it are not compressed first, only to be unpacked again.
SAVE: dict[str, Callable[[str, str], list[str]]] = {
    "buildah": lambda name, file: ["push", "--quiet", "--", name, f"docker-archive:{file}"],
    "podman": lambda name, file: ["save", "--quiet", "--format", "docker-archive", "--output", file, "--", name],
    "docker": lambda name, file: ["save", "--output", file, "--", name],
}


def open_archive(name: str) -> int:
    """Return a descriptor of the image `name` in one file; raise `LabError` when nothing here has it."""
    for prefix in _FILES:
        if name.startswith(prefix):
            return _open(name.removeprefix(prefix))
    tools = [tool for tool in SAVE if shutil.which(tool)]
    if not tools:
        wanted = f"expected {', '.join(SAVE)} or {_FILES[0]}FILE to get image {name!r} from"
        raise LabError(f"{wanted}, and none of them is installed")
    said = []
    for tool in tools:
        with tempfile.TemporaryDirectory(prefix="flycast-lab-") as directory:
            file = Path(directory, "image.tar")
            refusal = _save(tool, name, str(file))
            if not refusal:
                return _open(str(file))
            said.append(f"{tool}: {refusal}")
    raise LabError(f"image {name!r}: not to be had here; {'; '.join(said)}")


def _open(path: str) -> int:
    try:
        with open_regular(Path(path)) as file:
            return os.dup(file.fileno())
    except OSError as error:
        raise UsageError(f"--image: cannot read {path}: {error.strerror}") from None


def _save(tool: str, name: str, file: str) -> str:
    """Have `tool` write the image to `file`; return why it could not."""
    command = [tool, *SAVE[tool](name, file)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SAVE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"took longer than {_SAVE_SECONDS} s"
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1][:300]
