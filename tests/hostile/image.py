"""The hostile app as an image: this interpreter, the modules that the program loads, a shell, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.hostile.apps import HERE, PORT
from tests.image.layers import FOLDER, layer, libraries_of, oci_archive

_PLACE = "srv"
_LOADED = """
import json, sys, encodings
import importlib.util, program.__main__, program.table
"a".encode("idna")  # as every name that is looked up
print(json.dumps([module.__file__ for module in list(sys.modules.values()) if getattr(module, "__file__", None)]))
"""


def hostile_image(path: Path) -> Path:
    """Write the image as an OCI archive."""
    python = os.path.realpath(sys.executable)
    content: dict[str, str | bytes] = dict.fromkeys(("tmp", "var", "var/tmp", "root", "home", _PLACE), FOLDER)
    for program in (python, *filter(None, map(shutil.which, ("sh", "cat", "env")))):
        content |= libraries_of(program)
        content[program.removeprefix("/")] = Path(program).read_bytes()
    done = subprocess.run([python, "-c", _LOADED], capture_output=True, text=True, check=True, cwd=HERE)
    files = {Path(file) for file in json.loads(done.stdout)}
    for directory in {file.parent for file in files if file.parent.name == "encodings"}:
        files |= set(directory.glob("*.py"))
    for file in files:
        if file.is_relative_to(HERE):
            content[f"{_PLACE}/{file.relative_to(HERE)}"] = file.read_bytes()
            continue
        content[str(file).removeprefix("/")] = file.read_bytes()
        if file.suffix == ".so":
            content |= libraries_of(file)
    return oci_archive(
        path, [layer(content, mode="w:")],
        Cmd=[python, "-m", "program", "--serve", str(PORT)], WorkingDir=f"/{_PLACE}", Env=["PATH=/usr/bin:/bin"],
    )  # fmt: skip
