from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lab.apps import read_topology
from lab.dockerfile import MOST_BYTES, image_command
from lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('FROM a\nCMD ["python", "-m", "private_svc"]\n', ("python", "-m", "private_svc")),
        ("FROM a\nCMD serve --now\n", ("/bin/sh", "-c", "serve --now")),
        ('FROM a\nENTRYPOINT ["serve"]\nCMD ["--now"]\n', ("serve", "--now")),
        ('FROM a\ncmd ["one"]\nCMD ["two"]\n', ("two",)),
        ('FROM a AS build\nCMD ["never"]\nFROM b\n', ()),
        ('FROM a\nCMD ["one", \\\n     "two"]\n', ("one", "two")),
        ('FROM a\n# CMD ["not"]\nRUN echo CMD\n', ()),
        ("", ()),
    ],
)
def test_the_last_stage_says_what_runs(text: str, expected: tuple[str, ...]) -> None:
    assert image_command(text) == expected


def test_a_command_stands_on_the_line_of_its_instruction() -> None:
    assert image_command("CMD\nfoo\n") == ()


@pytest.mark.parametrize(
    "text", ["\n" * 200_000, f"CMD x{' ' * 200_000}y", f"CMD {'[' * 20_000}"], ids=["lines", "gap", "["]
)
def test_a_dockerfile_of_much_of_the_same_is_read(text: str) -> None:
    assert image_command(text)[:2] in {(), ("/bin/sh", "-c")}


@pytest.fixture
def named(tmp_path: Path) -> Callable[[str], None]:
    """Read a fly.toml whose [build] names a file."""

    def read_named(name: str) -> None:
        config = tmp_path / "fly.toml"
        config.write_text(f'app = "shop"\nprimary_region = "ams"\n[build]\ndockerfile = "{name}"\n')
        read_topology([(config, "personal")], None, "1", public=False, flycast_in={}, secrets={})

    return read_named


@pytest.mark.parametrize("name", ["pipe", "/dev/zero", "larger"])
def test_a_dockerfile_that_has_no_end_is_told_at_once(tmp_path: Path, named: Callable[[str], None], name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "larger").write_bytes(b"#" * (MOST_BYTES + 1))
    got = {"pipe": "a pipe", "/dev/zero": "a device", "larger": "a larger file"}[name]
    expected = f"expected a regular file of at most {MOST_BYTES} bytes, got {got}; name such a file"
    with pytest.raises(UsageError, match=rf"{name}: the Dockerfile cannot be read: {expected}$"):
        named(name)


def test_a_dockerfile_that_is_a_directory_is_told(tmp_path: Path, named: Callable[[str], None]) -> None:
    (tmp_path / "directory").mkdir()
    with pytest.raises(UsageError, match=r"directory: the Dockerfile cannot be read: Is a directory$"):
        named("directory")


def test_a_dockerfile_of_the_largest_size_is_read(tmp_path: Path, named: Callable[[str], None]) -> None:
    text = b'FROM a\nCMD ["serve"]\n'
    (tmp_path / "Dockerfile").write_bytes(text + b"#" * (MOST_BYTES - len(text)))
    named("Dockerfile")
