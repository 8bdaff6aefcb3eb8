"""From an archive to the one image in it that this machine runs.

Rules: the OCI image layout (`index.json` names manifests, each of which names a configuration and layers; blobs are
found by digest), and Docker's own (`manifest.json` names the members of the tar).  `docker save` writes both, with the
OCI layout's names for the layers; so the second is read only where the first is not there.

An index may name further indexes, an image for each platform, images whose blobs the archive does not hold, and
manifests that are no image, such as the attestations that buildx writes beside one.
"""

from __future__ import annotations

import json
import platform
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from lab.image.platforms import platform_name, platforms_of

if TYPE_CHECKING:
    import tarfile
    from collections.abc import Iterable, Mapping, Sequence

_ATTACHED = "vnd.docker.reference.type"  # the annotation of a manifest that tells of an image and is none
_REFERENCE = "org.opencontainers.image.ref.name"
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZSTD_SINCE = (3, 14)  # the first Python that reads it
_MOST_JSON_BYTES = 4 * 1024 * 1024
_MOST_MEMBERS = 10_000


class UnfitError(Exception):
    """The archive can be read and holds nothing that the lab can run; the text goes after `image NAME: `."""


@dataclass(frozen=True, slots=True)
class _Manifest:
    """An image of an index: its manifest, the platform that the index names or "", and its name in the index."""

    content: dict[str, Any]
    platform: str
    name: str


def chosen(archive: tarfile.TarFile) -> tuple[dict[str, Any], list[str]]:
    """Return the configuration of the image, and the member that holds each layer; raise `UnfitError`."""
    members = _members(archive)
    config, layers = _by_index(archive, members) if "index.json" in members else _by_docker_s_manifest(archive)
    _require_readable(archive, layers)
    return config, layers


def _members(archive: tarfile.TarFile) -> set[str]:
    names: set[str] = set()
    for entry in archive:
        if entry.issparse():  # tarfile would look for ever for a part that the map of such a file leaves out
            raise UnfitError(f"expected an archive without sparse files, got {entry.name!a:.99}; write it anew")
        names.add(entry.name)
        if len(names) > _MOST_MEMBERS:
            raise UnfitError(f"expected an archive of at most {_MOST_MEMBERS} files, got more")
    return names


def _by_index(archive: tarfile.TarFile, members: set[str]) -> tuple[dict[str, Any], list[str]]:
    manifest = _for_this_machine(archive, _images(archive, members))
    return _json(archive, _blob(manifest["config"])), [_blob(layer) for layer in manifest["layers"]]


def _images(archive: tarfile.TarFile, members: set[str]) -> list[_Manifest]:
    """Return each image that is in the archive, once."""
    images, seen = [], set()
    todo = deque(_json(archive, "index.json")["manifests"])
    while todo:
        described = todo.popleft()
        blob = _blob(described)
        if blob in seen or blob not in members or _is_attached(described):
            continue
        seen.add(blob)
        content = _json(archive, blob)
        if "manifests" in content:
            todo.extend(content["manifests"])
        else:
            name = (described.get("annotations") or {}).get(_REFERENCE) or described["digest"]
            images.append(_Manifest(content, platform_name(described.get("platform") or {}), str(name)))
    return images


def _is_attached(described: Mapping[str, Any]) -> bool:
    """Tell whether this is no image: an attestation, a signature, a list of parts."""
    no_platform = (described.get("platform") or {}).get("os") == "unknown"
    return no_platform or "artifactType" in described or _ATTACHED in (described.get("annotations") or {})


def _for_this_machine(archive: tarfile.TarFile, images: Sequence[_Manifest]) -> dict[str, Any]:
    """Return the manifest of the image to run; one that is alone and names no platform is that image."""
    if len(images) == 1 and not images[0].platform:
        return images[0].content
    there: dict[str, list[_Manifest]] = {}
    for image in images:
        own = image.platform or platform_name(_json(archive, _blob(image.content["config"])))
        there.setdefault(own or "no platform", []).append(image)
    wanted = platforms_of(platform.machine())
    fitting = next((there[one] for one in wanted if one in there), [])
    if not fitting:
        got = ", ".join(sorted(there)) or "no image"
        advice = f"build it with --platform {wanted[0]}"
        raise UnfitError(f"expected an image for {wanted[0]}, the platform of this machine, got {got:.300}; {advice}")
    _require_one(image.name for image in fitting)
    return fitting[0].content


def _by_docker_s_manifest(archive: tarfile.TarFile) -> tuple[dict[str, Any], list[str]]:
    manifests = _json(archive, "manifest.json")
    _require_one((manifest.get("RepoTags") or [manifest["Config"]])[0] for manifest in manifests)
    manifest = manifests[0]
    return _json(archive, manifest["Config"]), [str(name) for name in manifest["Layers"]]


def _require_one(names: Iterable[str]) -> None:
    got = [ascii(name) for name in names]
    if len(got) > 1:
        listed = ", ".join(got)
        raise UnfitError(f"expected one image in the archive, got {len(got)}: {listed:.300}; save the one to run alone")


def _require_readable(archive: tarfile.TarFile, layers: Sequence[str]) -> None:
    """Raise `UnfitError` for a compression that this Python does not have."""
    for number, member in enumerate(layers):
        if _file(archive, member).read(len(_ZSTD)) == _ZSTD and sys.version_info < _ZSTD_SINCE:
            here, since = (".".join(map(str, version[:2])) for version in (sys.version_info, _ZSTD_SINCE))
            raise UnfitError(
                f"expected layers as they are or compressed by gzip, got zstd for layer {number}, which Python {here} "
                f"cannot read; build the image with compression=gzip, or start the lab with Python {since} or later"
            )


def _blob(described: Mapping[str, Any]) -> str:
    algorithm, _, digest = described["digest"].partition(":")
    return str(Path("blobs", algorithm, digest))


def _json(archive: tarfile.TarFile, member: str) -> Any:
    return json.loads(_file(archive, member).read(_MOST_JSON_BYTES))


def _file(archive: tarfile.TarFile, member: str) -> IO[bytes]:
    stream = archive.extractfile(member)
    if stream is None:
        raise LookupError(f"no file {member}")
    return stream
