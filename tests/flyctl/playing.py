"""A copy of the project's recipes beside a stand-in for flyctl, played as a person plays them: with `just`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
STANDIN = Path(__file__).with_name("standin.py")
COPIED = ("Justfile", "fly.toml", "Dockerfile", ".dockerignore", "requirements.lock")
SECONDS = 60


@dataclass(frozen=True, slots=True)
class Fly:
    """The directory of a copy, and the file with the stand-in's state."""

    project: Path
    state: Path
    environment: dict[str, str]

    def run(self, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one line of a person's, and return what came of it."""
        return subprocess.run(
            ["bash", "-c", command], cwd=self.project, env=self.environment | environment,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip

    def known(self) -> dict[str, Any]:
        """Return the stand-in's state."""
        state: dict[str, Any] = json.loads(self.state.read_text())
        return state

    def calls(self) -> list[str]:
        """Return the flyctl commands so far, as a person would write them."""
        return [" ".join(["fly", *(word or "''" for word in call["argv"])]) for call in self.known()["calls"]]

    def public(self) -> bool:
        """Tell whether any app has an address that is not private."""
        return any(kind != "private_v6" for kinds in self.known()["apps"].values() for kind in kinds)


def fly(directory: Path, **state: Any) -> Fly:
    """Copy the recipes into `directory` and set the stand-in's scene."""
    project, programs = directory / "project", directory / "bin"
    shutil.copytree(PROJECT / "recipes", project / "recipes")
    for name in COPIED:
        shutil.copy(PROJECT / name, project)
    programs.mkdir()
    standin = programs / "flyctl"
    standin.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "{STANDIN}" "$@"\n')
    standin.chmod(0o755)
    file = directory / "state.json"
    file.write_text(json.dumps({"apps": {}, "taken": [], "deploy": "ok", "broken": [], "calls": []} | state))
    path = os.pathsep.join([str(programs), os.environ["PATH"], str(Path(sys.executable).parent)])
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FLY", "DRY_RUN", "XDG_"))}
    return Fly(project, file, kept | {"PATH": path, "HOME": str(directory), "FLYCTL_STATE": str(file)})
