from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from lab.errors import UsageError
from lab.image import sizes
from lab.image.archive import DEFAULT_PATH, read
from lab.image.storage import open_archive
from tests.image.layers import docker_archive, layer, oci_archive

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WRITERS = pytest.mark.parametrize("write", [oci_archive, docker_archive])
RUN = {
    "Entrypoint": ["/run.sh"], "Cmd": ["serve"], "Env": ["PATH=/own", "A=b=c"], "User": "10001", "WorkingDir": "/srv",
}  # fmt: skip


@WRITERS
def test_the_configuration_says_what_runs_as_whom_and_where(tmp_path: Path, write: Callable[..., Path]) -> None:
    file = open_archive(f"oci-archive:{write(tmp_path / 'image.tar', [layer({'a': 'b'})], **RUN)}")
    image = read("mine", file)
    os.close(file)
    assert (image.entrypoint, image.command) == (("/run.sh",), ("serve",))
    assert image.env == {"PATH": "/own", "A": "b=c"}
    assert (image.user, image.directory, len(image.layers)) == ("10001", "/srv", 1)


@WRITERS
def test_an_image_that_says_nothing_is_root_s_at_the_root(tmp_path: Path, write: Callable[..., Path]) -> None:
    file = open_archive(f"docker-archive:{write(tmp_path / 'image.tar', [])}")
    image = read("mine", file)
    os.close(file)
    assert (image.command, image.user, image.directory) == ((), "", "/")
    assert image.env == {"PATH": DEFAULT_PATH}


@pytest.mark.parametrize("content", [b"", b"no archive", b"\0" * 1024, layer({"a": "b"}, mode="w:")])
def test_what_is_no_image_is_told_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "image.tar").write_bytes(content)
    file = open_archive(f"oci-archive:{tmp_path / 'image.tar'}")
    with pytest.raises(UsageError, match=r"^image mine: expected one image in an OCI or Docker archive, got .+$"):
        read("mine", file)
    os.close(file)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*none\.tar: No such file"):
        open_archive(f"oci-archive:{tmp_path / 'none.tar'}")


def test_a_pipe_and_a_device_are_no_archive_and_are_told_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name, kind in (("pipe", "a pipe"), ("zero", "a device")):
        with pytest.raises(UsageError, match=rf"--image: cannot read .*/{name}: expected a regular file, got {kind}; "):
            open_archive(f"oci-archive:{tmp_path / name}")


@pytest.mark.parametrize("mode", ["w:", "w:gz"])
def test_the_table_counts_compressed_bytes(tmp_path: Path, mode: str) -> None:
    content = layer({"zeros": "0" * 3_000_000}, mode=mode)
    file = open_archive(f"oci-archive:{oci_archive(tmp_path / 'image.tar', [content, layer({'a': 'b'})])}")
    image = read("mine", file)
    zeros, _ = sizes.compressed_bytes(image)
    lines = sizes.table(image)
    os.close(file)
    assert 1000 < zeros < 20_000
    assert len(lines) == 4
    assert lines[1].endswith("hand")
    assert lines[-1].split()[1:] == ["100.0%", "mine,", "compressed"]


def test_the_program_prints_the_table_and_refuses_what_it_cannot_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = oci_archive(tmp_path / "image.tar", [layer({"a": "b"})])
    assert sizes.main([f"oci-archive:{archive}"]) == 0
    assert "share" in capsys.readouterr().out
    wrong: list[tuple[list[Any], int]] = [([], 2), (["--help"], 2), ([f"oci-archive:{tmp_path}"], 1)]
    for arguments, status in wrong:
        assert sizes.main(arguments) == status
        assert len(capsys.readouterr().err.splitlines()) == 1
