"""Which image of an archive is taken: the one for this machine, beside whatever else is there."""

from __future__ import annotations

import gzip
import json
import os
import platform
from typing import TYPE_CHECKING, Any

import pytest

from lab.errors import UsageError
from lab.image import manifests
from lab.image.archive import Image, read
from lab.image.platforms import platforms_of
from lab.image.storage import open_archive
from tests.image.layers import Blobs, layer, sparse_file, write_tar

if TYPE_CHECKING:
    from pathlib import Path

AMD64, ARM64, ARM_V6, ARM_V7 = (
    {"os": "linux", "architecture": "amd64"},
    {"os": "linux", "architecture": "arm64", "variant": "v8"},
    {"os": "linux", "architecture": "arm", "variant": "v6"},
    {"os": "linux", "architecture": "arm", "variant": "v7"},
)
NO_PLATFORM = {"os": "unknown", "architecture": "unknown"}


def image_in(path: Path) -> Image:
    file = open_archive(f"oci-archive:{path}")
    try:
        return read("mine", file)
    finally:
        os.close(file)


def names(name: str) -> dict[str, Any]:
    return {"config": {"Cmd": [name]}}


def attestation(blobs: Blobs, of: dict[str, Any], **platform_of_it: Any) -> dict[str, Any]:
    about = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": of["digest"]}
    return blobs.image([b"{}"], {}, annotations=about, **platform_of_it)


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Be another machine."""
    return lambda machine: monkeypatch.setattr(platform, "machine", lambda: machine)


@pytest.mark.parametrize("described", [{}, {"platform": AMD64}], ids=["no platform", "a platform"])
def test_an_attestation_beside_the_image_is_passed_over(tmp_path: Path, on: Any, described: dict[str, Any]) -> None:
    on("x86_64")
    blobs = Blobs()
    mine = blobs.image([], names("mine"), **described)
    path = blobs.write(tmp_path / "image.tar", mine, attestation(blobs, mine, platform=NO_PLATFORM))
    assert image_in(path).command == ("mine",)
    path = blobs.write(tmp_path / "image.tar", attestation(blobs, mine), mine)
    assert image_in(path).command == ("mine",), "an attestation that comes first and names no platform"


@pytest.mark.parametrize(
    ("machine", "expected"),
    [("x86_64", "amd64"), ("aarch64", "arm64"), ("armv7l", "arm-v7"), ("armv6l", "arm-v6"), ("riscv64", "riscv64")],
)
def test_the_image_for_this_machine_is_taken(tmp_path: Path, on: Any, machine: str, expected: str) -> None:
    on(machine)
    blobs = Blobs()
    riscv = {"os": "linux", "architecture": "riscv64"}
    offered = {"arm-v6": ARM_V6, "amd64": AMD64, "arm64": ARM64, "arm-v7": ARM_V7, "riscv64": riscv}
    images = [blobs.image([], names(name), platform=its) for name, its in offered.items()]
    windows = blobs.image([], names("windows"), platform={"os": "windows", "architecture": expected})
    assert image_in(blobs.write(tmp_path / "image.tar", windows, *images)).command == (expected,)


def test_an_image_whose_platform_only_its_configuration_names_is_found(tmp_path: Path, on: Any) -> None:
    on("x86_64")
    blobs = Blobs()
    images = [blobs.image([], names(its["architecture"]) | its) for its in (ARM64, AMD64)]
    assert image_in(blobs.write(tmp_path / "image.tar", *images)).command == ("amd64",)


def test_what_a_machine_runs_is_in_order_and_an_unknown_machine_runs_its_own_name() -> None:
    assert platforms_of("armv7l") == ("linux/arm/v7", "linux/arm", "linux/arm/v6", "linux/arm/v5")
    assert platforms_of("s390x") == ("linux/s390x",)


@pytest.mark.parametrize("depth", [1, 2, 9])
def test_an_index_within_an_index_is_followed(tmp_path: Path, on: Any, depth: int) -> None:
    on("x86_64")
    blobs = Blobs()
    other, mine = blobs.image([], names("other"), platform=ARM64), blobs.image([], names("mine"), platform=AMD64)
    index = blobs.index(other, mine, attestation(blobs, mine, platform=NO_PLATFORM))
    for _ in range(depth - 1):
        index = blobs.index(index)
    assert image_in(blobs.write(tmp_path / "image.tar", index)).command == ("mine",)


def test_an_index_that_names_itself_comes_to_an_end(tmp_path: Path) -> None:
    itself = {"digest": "sha256:round"}
    index = json.dumps({"manifests": [itself]}).encode()
    path = write_tar(tmp_path / "image.tar", {"blobs/sha256/round": index, "index.json": index})
    with pytest.raises(UsageError, match=r"^image mine: expected an image for linux/.*, got no image; "):
        image_in(path)


def test_images_that_are_named_and_not_there_are_passed_over(tmp_path: Path, on: Any) -> None:
    on("x86_64")
    blobs = Blobs()
    elsewhere, mine = blobs.image([], names("elsewhere"), platform=ARM64), blobs.image([], names("mine"))
    blobs.drop(elsewhere)
    assert image_in(blobs.write(tmp_path / "image.tar", blobs.index(elsewhere, mine))).command == ("mine",)


@pytest.mark.parametrize("more", [(), ({"os": "linux", "architecture": "s390x"},)], ids=["one", "two"])
def test_where_no_platform_fits_it_is_said_which_there_are(
    tmp_path: Path, on: Any, more: tuple[dict[str, Any], ...]
) -> None:
    on("x86_64")
    blobs = Blobs()
    images = [blobs.image([], names(str(its)), platform=its) for its in (ARM64, *more)]
    with pytest.raises(UsageError) as caught:
        image_in(blobs.write(tmp_path / "image.tar", *images, attestation(blobs, images[0], platform=NO_PLATFORM)))
    got = "linux/arm64/v8, linux/s390x" if more else "linux/arm64/v8"
    expected = "image mine: expected an image for linux/amd64, the platform of this machine, "
    assert str(caught.value) == f"{expected}got {got}; build it with --platform linux/amd64"


def test_one_image_under_two_names_is_one_and_two_images_are_told(tmp_path: Path) -> None:
    blobs = Blobs()
    here = {"platform": dict(zip(("os", "architecture"), platforms_of(platform.machine())[0].split("/"), strict=False))}
    one, two = (
        blobs.image([], names(name), annotations={"org.opencontainers.image.ref.name": name}, **here)
        for name in ("shop:1", "shop\x1b:2")
    )
    assert image_in(blobs.write(tmp_path / "image.tar", one, {**one, "annotations": None})).command == ("shop:1",)
    expected = r"expected one image in the archive, got 2: 'shop:1', 'shop\\x1b:2'; save the one to run alone$"
    with pytest.raises(UsageError, match=expected):
        image_in(blobs.write(tmp_path / "image.tar", one, two))


def test_several_images_that_docker_saved_together_are_told(tmp_path: Path) -> None:
    saved = [{"Config": "a", "RepoTags": ["shop:1", "shop:latest"], "Layers": []}, {"Config": "b", "Layers": []}]
    path = write_tar(tmp_path / "image.tar", {"manifest.json": json.dumps(saved).encode(), "a": b"{}", "b": b"{}"})
    with pytest.raises(UsageError, match=r"got 2: 'shop:1', 'b'; save the one to run alone$"):
        image_in(path)


def test_a_layer_that_this_python_cannot_decompress_is_told_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifests, "_ZSTD_SINCE", (99, 0))
    blobs = Blobs()
    image = blobs.image([layer({"a": "b"}), b"\x28\xb5\x2f\xfd and more"], names("mine"))
    expected = (
        r"expected layers as they are or compressed by gzip, got zstd for layer 1, .*compression=gzip.* Python 99"
    )
    with pytest.raises(UsageError, match=expected):
        image_in(blobs.write(tmp_path / "image.tar", image))


def test_a_name_that_says_it_has_gigabytes_is_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    write_tar(path, {"a": b""})
    header = bytearray(path.read_bytes()[:512])
    header[124:136], header[156:157] = b"%011o\0" % (1 << 30), b"x"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path.write_bytes(header)
    os.truncate(path, 1 << 31)
    with pytest.raises(UsageError, match="ReadError: a header of 1073741824 bytes, expected at most 1048576"):
        image_in(path)


def test_an_archive_with_a_sparse_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(gzip.decompress(sparse_file(2000, (1000, 10), (500, 10))))
    with pytest.raises(UsageError, match=r"^image mine: expected an archive without sparse files, got 'sparse'"):
        image_in(path)
