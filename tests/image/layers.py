"""Images made by hand, as small as they can be."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOLDER = "a directory"
_LINK = b"-> "


def layer(entries: Mapping[str, str | bytes], *, mode: str = "w:gz") -> bytes:
    """Return a tar of files; text `-> x` makes a symbolic link to x, `FOLDER` a directory."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as tar:  # type: ignore[call-overload]  # the mode is not a literal
        for name, given in entries.items():
            content = given if isinstance(given, bytes) else given.encode()
            entry = tarfile.TarInfo(name)
            entry.mode = 0o755
            if given == FOLDER:
                entry.type = tarfile.DIRTYPE
            elif content.startswith(_LINK):
                entry.type, entry.linkname = tarfile.SYMTYPE, content.removeprefix(_LINK).decode()
            entry.size = len(content) if entry.type == tarfile.REGTYPE else 0
            tar.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def libraries_of(program: str | Path) -> dict[str, bytes]:
    """Return by its place in an image each library that a program of this machine loads."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, timeout=10, check=True).stdout
    return {path.removeprefix("/"): Path(path).read_bytes() for path in re.findall(r"(/\S+) \(0x", listed)}


def oci_archive(path: Path, layers: Sequence[bytes], **run: Any) -> Path:
    """Write an image in the OCI layout."""
    blobs: dict[str, bytes] = {}

    def keep(content: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {"digest": f"sha256:{digest}", "size": len(content)}

    config = keep(json.dumps({"config": run, "history": [{"created_by": "hand"}]}).encode())
    manifest = keep(json.dumps({"config": config, "layers": [keep(content) for content in layers]}).encode())
    return _write(path, {**blobs, "index.json": json.dumps({"manifests": [manifest]}).encode()})


def docker_archive(path: Path, layers: Sequence[bytes], **run: Any) -> Path:
    """Write an image as `docker save` did before it knew OCI."""
    named = {f"{number}.tar": content for number, content in enumerate(layers)}
    manifest = [{"Config": "config.json", "Layers": list(named)}]
    config = json.dumps({"config": run}).encode()
    return _write(path, {**named, "config.json": config, "manifest.json": json.dumps(manifest).encode()})


def _write(path: Path, members: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path
