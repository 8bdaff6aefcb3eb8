"""A stand-in for python:3.13-slim, made of Debian's packages: the image is built for real, and no registry is asked.

Made once and kept, by the content of this file, in the user's cache directory.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from tests.image.buildah import Store, output_of

NAME = "docker.io/library/python:3.13-slim"
_SUITE = "trixie"  # whose Python is 3.13, and on which the real image stands
_PACKAGES = "python3,python3-pip,ca-certificates"
_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
_NOT_IN_THE_REAL_ONE = (
    "var/lib/apt/lists",
    "var/cache/apt",
    "usr/share/doc",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/info",
)
_SECONDS = 600


def base_archive() -> Path:
    """Return the base as an OCI archive."""
    key = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "flycast-private-service")
    kept = cache / f"base-{key}.tar"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as work:
            _make(Path(work)).rename(kept)
    return kept


def _make(work: Path) -> Path:
    root = work / "root"
    output_of("debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _SUITE, str(root), seconds=_SECONDS)
    _make_alike(root)
    with Store(work / "store") as store:
        container = store.run("from", "scratch").strip()
        store.run("copy", "--quiet", container, str(root), "/")
        store.run("config", "--env", f"PATH={_PATH}", "--cmd", '["python3"]', container)
        store.run("commit", "--quiet", "--rm", container, NAME)
        archive = work / "base.tar"
        store.run("push", "--quiet", NAME, f"oci-archive:{archive}:{NAME}")
    return archive


def _make_alike(root: Path) -> None:
    for name in _NOT_IN_THE_REAL_ONE:
        for entry in (root / name).iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    for library in (root / "usr/lib").glob("python3*"):
        for entry in [*library.rglob("__pycache__"), *library.glob("EXTERNALLY-MANAGED")]:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    for name, program in (("python", "python3"), ("python3", "python3"), ("pip", "pip3")):
        (root / "usr/local/bin" / name).symlink_to(f"/usr/bin/{program}")
