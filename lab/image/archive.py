"""What an image in one file says of itself.

Rules: the OCI image layout (`index.json` names a manifest, which names a configuration and layers; blobs are found by
digest), and Docker's own (`manifest.json` names the members of the tar).  `docker save` writes both, with the OCI
layout's names for the layers; so the second is read only where the first is not there.
"""

from __future__ import annotations

import json
import os
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # Docker's, for an image without one
_INDEXES = {"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"}
_MOST_JSON_BYTES = 4 * 1024 * 1024
_MOST_NESTED = 3


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: the member of the archive that holds it, as it is stored, and the instruction that made it."""

    member: str
    stored_bytes: int
    made_by: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image, and the open file it is in: its name as given, what it runs, as whom, where and with what."""

    name: str
    file: int
    layers: tuple[Layer, ...]
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    env: Mapping[str, str]
    user: str
    directory: str

    @property
    def root(self) -> str:
        """Where the lab unpacks it."""
        return f"/run/image/{self.file}"


@contextmanager
def opened(file: int) -> Iterator[tarfile.TarFile]:
    """Open the archive that `file` is a descriptor of, from its start; the descriptor stays open."""
    os.lseek(file, 0, os.SEEK_SET)
    with os.fdopen(file, "rb", closefd=False) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
        yield archive


def read(name: str, file: int) -> Image:
    """Return the image in the archive that `file` is a descriptor of; raise `UsageError` when there is none."""
    try:
        with opened(file) as archive:
            indexed = "index.json" in archive.getnames()
            config, layers = _by_index(archive) if indexed else _by_docker_s_manifest(archive)
            return _image(name, file, config, layers)
    except (tarfile.TarError, OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        got = f"{type(error).__name__}: {error}"
        raise UsageError(f"image {name}: expected one image in an OCI or Docker archive, got {got}") from None


def _by_index(archive: tarfile.TarFile) -> tuple[dict[str, Any], list[tuple[str, int]]]:
    described = _json(archive, "index.json")
    for _ in range(_MOST_NESTED):
        (described,) = described["manifests"]  # one image, for one machine
        if described.get("mediaType") not in _INDEXES:
            break
        described = _json(archive, _blob(described))
    manifest = _json(archive, _blob(described))
    layers = [(_blob(layer), layer["size"]) for layer in manifest["layers"]]
    return _json(archive, _blob(manifest["config"])), layers


def _by_docker_s_manifest(archive: tarfile.TarFile) -> tuple[dict[str, Any], list[tuple[str, int]]]:
    (manifest,) = _json(archive, "manifest.json")
    layers = [(str(name), archive.getmember(name).size) for name in manifest["Layers"]]
    return _json(archive, manifest["Config"]), layers


def _image(name: str, file: int, config: dict[str, Any], layers: list[tuple[str, int]]) -> Image:
    made = [step.get("created_by", "") for step in config.get("history", ()) if not step.get("empty_layer")]
    made += [""] * (len(layers) - len(made))
    run: dict[str, Any] = config.get("config") or {}
    env = dict(text.split("=", 1) for text in run.get("Env") or ())
    return Image(
        name=name,
        file=file,
        layers=tuple(Layer(*layer, by) for layer, by in zip(layers, made, strict=False)),
        entrypoint=_words(run.get("Entrypoint") or []),
        command=_words(run.get("Cmd") or []),
        env={"PATH": DEFAULT_PATH, **env},
        user=_word(run.get("User") or ""),
        directory=_word(run.get("WorkingDir") or "/"),
    )


def _words(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"expected an array of strings, got {value!r:.60}")
    return tuple(map(_word, value))


def _word(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a string, got {value!r:.60}")
    return value


def _blob(described: Mapping[str, Any]) -> str:
    algorithm, _, digest = described["digest"].partition(":")
    return str(Path("blobs", algorithm, digest))


def _json(archive: tarfile.TarFile, member: str) -> Any:
    stream = archive.extractfile(member)
    if stream is None:
        raise LookupError(f"no file {member}")
    return json.loads(stream.read(_MOST_JSON_BYTES))
