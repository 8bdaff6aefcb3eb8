"""An app's Machine as a test sees it from inside, and what lies around the app's directory on the host."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.e2e.running import DEADLINE_SECONDS, LAB

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.running import RunningLab

APP = f"""
app = "bounds"
primary_region = "ams"
[processes]
app = "{sys.executable} -m http.server 8080 --bind 0.0.0.0"
linked = "BASE/current/bin/tool"
within = ".venv/bin/tool"
[[vm]]
memory = "512mb"
"""
TOOL = '#!/bin/sh\necho "$0 runs"\nexec sleep 1000\n'
AS_ANOTHER = "setpriv --reuid=1000 --regid=1000 --clear-groups"


@dataclass(frozen=True, slots=True)
class Inside:
    """A Machine that is up; `base` is where the app's directory and what lies beside it are on the host."""

    lab: RunningLab
    base: Path
    caller: tuple[str, ...]
    machines: dict[str, str]  # by process group

    @property
    def has_users(self) -> bool:
        """Whether a Machine has other users than root."""
        return os.geteuid() == 0 and not self.caller

    def said(self, script: str, group: str = "app") -> str:
        """Run a shell script as the Machine's root; return its output, fail when it fails."""
        done = self.lab.on(self.machines[group], "sh", "-c", script)
        assert done.returncode == 0, f"$ {script}\nexit {done.returncode}\n{done.stdout}{done.stderr}{self.lab.tail()}"
        return done.stdout

    def users(self) -> list[str]:
        """Return how commands begin that run as root, and as another user where there is one."""
        return ["", AS_ANOTHER] if self.has_users else [""]

    def command(self, verb: str, machine: str) -> None:
        subprocess.run(
            [*self.caller, *LAB, "machine", verb, machine, "--lab", str(self.lab.process.pid)],
            check=True, capture_output=True, timeout=DEADLINE_SECONDS,
        )  # fmt: skip


def lay_out(base: Path, owner: int) -> None:
    """Make an app's directory that belongs to `owner` where that can be, and what lies beside it."""
    (base / "app/data").mkdir(parents=True)
    (base / "app/fly.toml").write_text(APP.replace("BASE", str(base)))
    (base / "app/owned").write_text("before\n")
    (base / "app/owned").chmod(0o600)
    (base / "beside").write_text("secret\n")
    for version in ("versions/1", "envs/app"):
        (base / version / "bin").mkdir(parents=True)
        (base / version / "bin/tool").write_text(TOOL)
        (base / version / "bin/tool").chmod(0o755)
    (base / "current").symlink_to(base / "versions/1")
    (base / "app/.venv").symlink_to(base / "envs/app")
    if os.geteuid() == 0:
        for path in (base / "app", base / "app/data", base / "app/owned"):
            os.chown(path, owner, owner)
