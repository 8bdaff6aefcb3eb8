"""buildah with a storage of its own, and the package index of this machine inside its builds, not inside its images."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

PROJECT = Path(__file__).resolve().parents[2]
WAYS_TO_PACKAGES = {"cert", "extra-index-url", "find-links", "index-url", "no-index", "proxy", "trusted-host"}
_SECONDS = 600


def output_of(*command: str, seconds: float = _SECONDS) -> str:
    """Run a program; return what it printed, fail with what it said."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, f"$ {' '.join(command)}\nexit {done.returncode}\n{(done.stdout + done.stderr)[-4000:]}"
    return done.stdout


class Store:
    """A storage for images that goes when it is left."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir()
        self.driver = "overlay"
        try:
            self.run("rm", self.run("from", "scratch").strip())
        except AssertionError:  # such as in a container, on an overlay already
            self.driver = "vfs"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for point in reversed([point for point in mounted if Path(point).is_relative_to(self._directory)]):
            output_of("umount", point)  # buildah leaves its storage mounted on itself
        shutil.rmtree(self._directory)

    def reference(self, name: str) -> str:
        """Return the name that other tools find an image of this storage by."""
        return f"containers-storage:[{self.driver}@{self._directory / 'root'}+{self._directory / 'run'}]{name}"

    def run(self, *arguments: str) -> str:
        """Run buildah on this storage."""
        where = ("--root", str(self._directory / "root"), "--runroot", str(self._directory / "run"))
        return output_of("buildah", *where, "--storage-driver", self.driver, *arguments)

    def build(self, context: Path, tag: str, *options: str) -> str:
        """Build the Dockerfile of `context`; return what was printed."""
        with tempfile.TemporaryDirectory() as work:
            volumes = [f"--volume={host}:{inside}:ro" for host, inside in _pip_mounts(Path(work))]
            return self.run(
                "build", "--layers", "--isolation=chroot", "--network=host", "--pull=never", *volumes, *options,
                "--tag", tag, str(context),
            )  # fmt: skip


def _pip_mounts(work: Path) -> list[tuple[str, str]]:
    """Return what a build must see for its pip to find packages as ours does: a file, certificates, directories."""
    listed = output_of(sys.executable, "-m", "pip", "config", "list").splitlines()
    given = {key.rpartition(".")[2]: ast.literal_eval(value) for key, _, value in (s.partition("=") for s in listed)}
    settings = {name: given[name] for name in given.keys() & WAYS_TO_PACKAGES}
    config = work / "pip.conf"
    config.write_text("[global]\n" + "".join(f"{key} = {' '.join(value.split())}\n" for key, value in settings.items()))
    mounts = {"/etc/pip.conf": str(config)}
    for value in " ".join(settings.values()).split():
        url = urlsplit(value)
        path = Path(unquote(url.path))
        if url.scheme in {"", "file"} and path.is_absolute() and path.exists():
            path = path.parent if path.name == "simple" else path  # its links lead to files beside it
            mounts[str(path)] = str(path)
    return [(host, inside) for inside, host in mounts.items()]
