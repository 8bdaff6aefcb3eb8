"""What a hostile image may take of this machine: no more than a bound that its error names."""

from __future__ import annotations

import gzip
import lzma
import os
import re
import resource
import tarfile
from bz2 import compress as by_bz2
from typing import TYPE_CHECKING, Any

import pytest

from lab.errors import LabError
from lab.image import allowance, unpack
from lab.image.changeset import apply
from tests.image.layers import FOLDER, claiming, layer, sparse_file
from tests.image.unpacked import needs_root, tree, unpacked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = needs_root
GIB = 1024**3
MAGIC = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"


def test_a_file_of_a_hundred_gigabytes_is_refused_before_a_byte_is_written(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    with pytest.raises(LabError) as caught:
        unpacked(tmp_path, {"a": "1"}, claiming(100 * GIB))
    spent = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    assert re.search(
        r"layer 1: expected files of at most \d+\.\d GiB together, which is .*, got more; ", str(caught.value)
    )
    assert tree(tmp_path / "outside/root") == {"a": "1"}
    assert spent < 5, f"{spent:.1f} s of processor time for a file that is not written"


def test_what_all_layers_hold_together_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowance, "MOST_BYTES", 1_000_000)
    third = {f"{number}": b"\0" * 4000 for number in range(100)}
    assert len(tree(unpacked(tmp_path, third, third))) == 100
    with pytest.raises(
        LabError, match=r"layer 2: expected files .* together, which is what Fly has room for, got more"
    ):
        unpacked(tmp_path, third, third, third)


def test_where_memory_has_less_room_that_is_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs("/")
    room = os.statvfs_result([*real[:1], 4096, real[2], 100, 100, *real[5:]])
    monkeypatch.setattr(os, "statvfs", lambda _path: room)
    assert tree(unpacked(tmp_path, {"a": b"\0" * 400_000}))
    with pytest.raises(LabError, match=r"which is the room in memory, .*, got more; .* give this machine more memory$"):
        unpacked(tmp_path, {"a": b"\0" * 410_000})


@pytest.mark.parametrize(
    "entries",
    [
        {f"{number}": "" for number in range(60)},
        {"/".join("abcdefgh" * 8): ""},
        {f".wh.{number}": "" for number in range(60)},
    ],
    ids=["files", "directories that no entry describes", "whiteouts"],
)
def test_the_number_of_files_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entries: dict[str, str]
) -> None:
    monkeypatch.setattr(allowance, "MOST_FILES", 50)
    with pytest.raises(LabError, match=r"layer 1: expected at most 50 files, got more; leave files out of the image$"):
        unpacked(tmp_path, {"a": "1"}, entries)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(
            claiming(20_000_000, kind=tarfile.CONTTYPE, content=b"\0" * 20_000_000), id="a file of an old kind"
        ),
        pytest.param(claiming(20_000_000, kind=b"Q", content=b"\0" * 20_000_000), id="a kind that nobody knows"),
        pytest.param(sparse_file(0, content=(b"\0" * 504 + b"\1" * 8) * 40_000, more=True), id="a long map"),
    ],
)
def test_what_is_read_and_becomes_no_file_is_bounded_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr(allowance, "MOST_BYTES", 1_000_000)
    monkeypatch.setattr(allowance, "_MOST_TAR_BYTES", 2_000_000)
    with pytest.raises(LabError, match=r"expected files of at most .* together"):
        unpacked(tmp_path, content)


def test_a_sparse_file_counts_with_its_holes_and_one_with_parts_in_disorder_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allowance, "MOST_BYTES", 1_000_000)
    root = unpacked(tmp_path, sparse_file(2000, (1000, 10)))
    assert (root / "sparse").read_bytes() == b"\0" * 1000 + b"x" * 10 + b"\0" * 990
    with pytest.raises(LabError, match="expected files of at most "):
        unpacked(tmp_path, sparse_file(700_000, (0, 1)), sparse_file(700_000, (0, 1)))
    with pytest.raises(LabError, match="expected the parts of the sparse file 'sparse' in order"):
        unpacked(tmp_path, sparse_file(2000, (1000, 10), (500, 10)))


@pytest.mark.long
def test_names_that_fill_the_memory_of_the_process_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "MOST_MEMORY_BYTES", 64 * 1024**2)
    with pytest.raises(LabError, match=r"layer 0: expected names that take less than \d+ MiB of memory .*, got more$"):
        unpacked(tmp_path, {f"{number}{'a' * 1_000_000}": "" for number in range(100)})


def test_directories_within_each_other_without_end_are_told(tmp_path: Path) -> None:
    deep = "/".join("a" * 1900)
    with pytest.raises(LabError, match="layer 0: expected directories within each other that Python can walk through"):
        unpacked(tmp_path, {deep: ""})


def test_no_file_of_an_image_is_imported_while_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The root directory is the image then, and where Python looks for modules is in it."""

    layers = []

    def apply_and_import(*arguments: Any) -> None:
        layers.append(arguments)
        if len(layers) == 2:
            import planted  # type: ignore[import-not-found]  # noqa: PLC0415, F401
        apply(*arguments)

    monkeypatch.syspath_prepend("/modules")
    monkeypatch.setattr(unpack, "apply", apply_and_import)
    with pytest.raises(LabError, match="layer 1: No module named 'planted'"):
        unpacked(tmp_path, {"modules/planted.py": "open('/escaped', 'w')"}, {"a": "1"})
    assert not (tmp_path / "outside/root/escaped").exists()


@pytest.mark.parametrize(
    "compress",
    [bytes, gzip.compress, by_bz2, lzma.compress, lambda tar: gzip.compress(tar[:700]) + gzip.compress(tar[700:])],
    ids=["as it is", "gzip", "bzip2", "xz", "gzip in parts"],
)
def test_a_layer_is_read_however_it_is_compressed(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    content = layer({"d": FOLDER, "d/a": "1" * 5000, "b": "2"}, mode="w:")
    assert tree(unpacked(tmp_path, compress(content))) == {"d": FOLDER, "d/a": "1" * 5000, "b": "2"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"junk" * 300,
        gzip.compress(b"junk" * 300),
        layer({"a": "1" * 5000})[:-40],
        b"\x1f\x8b",
        b"BZh",
        b"\xfd7zXZ\0",
        b"\x28\xb5\x2f\xfd",
    ],
    ids=["nothing", "junk", "compressed junk", "cut short", "gzip", "bzip2", "xz", "zstd"],
)
def test_what_is_no_layer_is_told_by_its_number(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(LabError, match=r"layer 1: expected a tar, as it is or by gzip, got: .|got zstd for layer 1"):
        unpacked(tmp_path, {"a": "1"}, content)
