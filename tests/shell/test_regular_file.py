"""A name may lead to anything: what is no regular file of a bounded size is told at once, and never read."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from shell.flytoml.regular_file import IrregularError, open_regular, read_regular

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "linked").symlink_to("pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "full").write_bytes(b"1234")
    (tmp_path / "larger").write_bytes(b"12345")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "got"),
    [("pipe", "a pipe"), ("linked", "a pipe"), ("zero", "a device"), ("larger", "a larger file")],
)
def test_what_is_no_file_of_that_size_is_told_with_what_was_expected(odd: Path, name: str, got: str) -> None:
    with pytest.raises(IrregularError) as caught:
        read_regular(odd / name, 4)
    assert caught.value.strerror == f"expected a regular file of at most 4 bytes, got {got}; name such a file"
    assert caught.value.got == got


def test_what_cannot_be_opened_is_the_system_s_error(odd: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(odd / "socket"))
        for name, expected in (("none", FileNotFoundError), (".", IsADirectoryError), ("socket", OSError)):
            with pytest.raises(expected):
                open_regular(odd / name)


def test_a_file_is_read_to_its_bound_and_through_links(odd: Path) -> None:
    (odd / "link").symlink_to("full")
    assert read_regular(odd / "link", 4) == b"1234"
    with open_regular(odd / "larger") as file:
        assert file.read() == b"12345"
