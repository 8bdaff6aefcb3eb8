"""Images made by hand, as small as they can be."""

from __future__ import annotations

import gzip
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

FOLDER, PIPE, DEVICE = "a directory", "a pipe", "a device"
INDEX = "application/vnd.oci.image.index.v1+json"
_KINDS = {FOLDER.encode(): tarfile.DIRTYPE, PIPE.encode(): tarfile.FIFOTYPE, DEVICE.encode(): tarfile.CHRTYPE}
_LINKS = {b"-> ": tarfile.SYMTYPE, b"=> ": tarfile.LNKTYPE}


def layer(entries: Mapping[str, str | bytes | tarfile.TarInfo], *, mode: str = "w:gz") -> bytes:
    """Return a tar of files, in their order.

    Text `-> x` makes a symbolic link to x, `=> x` a hard link; `FOLDER`, `PIPE` and `DEVICE` are such; a `TarInfo` is
    taken as it is, with the name.
    """
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as tar:  # type: ignore[call-overload]  # the mode is not a literal
        for name, given in entries.items():
            content = (
                b"" if isinstance(given, tarfile.TarInfo) else given if isinstance(given, bytes) else given.encode()
            )
            entry = given if isinstance(given, tarfile.TarInfo) else _entry(content)
            entry.name = name
            tar.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def libraries_of(program: str | Path) -> dict[str, bytes]:
    """Return by its place in an image each library that a program of this machine loads."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, timeout=10, check=True).stdout
    return {path.removeprefix("/"): Path(path).read_bytes() for path in re.findall(r"(/\S+) \(0x", listed)}


def claiming(size: int, *, kind: bytes = tarfile.REGTYPE, content: bytes = b"\0" * 4096) -> bytes:
    """Return a layer with a file that says it has `size` bytes."""
    entry = tarfile.TarInfo("zeros")
    entry.size, entry.type = size, kind
    return gzip.compress(entry.tobuf(tarfile.GNU_FORMAT) + content)


def sparse_file(size: int, *parts: tuple[int, int], content: bytes = b"x" * 512, more: bool = False) -> bytes:
    """Return a layer with a sparse file in GNU's format: `parts` of it are there, and with `more` its map goes on."""
    header = bytearray(tarfile.TarInfo("sparse").tobuf(tarfile.GNU_FORMAT))
    for number, part in enumerate(parts):
        header[386 + 24 * number : 410 + 24 * number] = b"%011o\0%011o\0" % part
    header[124:136] = b"%011o\0" % sum(size for _, size in parts)
    header[156:157], header[482], header[483:495] = tarfile.GNUTYPE_SPARSE, more, b"%011o\0" % size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return gzip.compress(bytes(header) + content + b"\0" * 1024)


def _entry(content: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo()
    entry.mode = 0o755
    entry.type = _KINDS.get(content) or _LINKS.get(content[:3]) or tarfile.REGTYPE
    if content[:3] in _LINKS:
        entry.linkname = content[3:].decode()
    entry.size = len(content) if entry.type == tarfile.REGTYPE else 0
    return entry


class Blobs:
    """The blobs of an OCI archive, each by its digest."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    def keep(self, content: bytes | Mapping[str, Any], **described: Any) -> dict[str, Any]:
        """Keep bytes or JSON; return its descriptor, with what else is to be said of it."""
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        digest = hashlib.sha256(content).hexdigest()
        self._blobs[f"blobs/sha256/{digest}"] = content
        return {"digest": f"sha256:{digest}", "size": len(content), **described}

    def image(self, layers: Sequence[bytes], config: Mapping[str, Any], **described: Any) -> dict[str, Any]:
        """Keep an image; return the descriptor of its manifest."""
        kept = {"config": self.keep(config), "layers": [self.keep(content) for content in layers]}
        return self.keep(kept, **described)

    def index(self, *manifests: Mapping[str, Any], **described: Any) -> dict[str, Any]:
        """Keep an index; return its descriptor."""
        return self.keep({"manifests": list(manifests)}, mediaType=INDEX, **described)

    def drop(self, described: Mapping[str, Any]) -> None:
        """Leave a blob out of the archive, though it is named."""
        del self._blobs["blobs/" + described["digest"].replace(":", "/")]

    def write(self, path: Path, *manifests: Mapping[str, Any]) -> Path:
        """Write the archive; its index names `manifests`."""
        index = json.dumps({"manifests": list(manifests)}).encode()
        return write_tar(path, {**self._blobs, "index.json": index})


def oci_archive(path: Path, layers: Sequence[bytes], **run: Any) -> Path:
    """Write an image in the OCI layout."""
    blobs = Blobs()
    return blobs.write(path, blobs.image(layers, {"config": run, "history": [{"created_by": "hand"}]}))


def docker_archive(path: Path, layers: Sequence[bytes], **run: Any) -> Path:
    """Write an image as `docker save` did before it knew OCI."""
    named = {f"{number}.tar": content for number, content in enumerate(layers)}
    manifest = [{"Config": "config.json", "Layers": list(named)}]
    config = json.dumps({"config": run}).encode()
    return write_tar(path, {**named, "config.json": config, "manifest.json": json.dumps(manifest).encode()})


def write_tar(path: Path, members: Mapping[str, bytes]) -> Path:
    """Write a tar of files."""
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path
