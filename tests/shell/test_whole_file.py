from __future__ import annotations

import os
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING

import pytest

from shell.errors import NotWellError
from shell.whole_file import writable_file, write_whole

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_made_or_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "w.svg"
    for text in ("first", "second ✓"):
        write_whole(writable_file(str(path)), text)
        assert path.read_text(encoding="utf-8") == text
    assert [entry.name for entry in tmp_path.iterdir()] == ["w.svg"]


def test_a_new_file_is_as_readable_as_any_other(tmp_path: Path) -> None:
    usual = tmp_path / "usual"
    usual.touch()
    write_whole(tmp_path / "w.svg", "x")
    assert (tmp_path / "w.svg").stat().st_mode == usual.stat().st_mode


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "w.svg").symlink_to("real.svg")
    write_whole(writable_file(str(tmp_path / "w.svg")), "x")
    assert (tmp_path / "w.svg").is_symlink()
    assert (tmp_path / "real.svg").read_text(encoding="utf-8") == "x"


def test_what_was_there_stays_when_the_new_text_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "w.svg"
    path.write_text("before", encoding="utf-8")
    (tmp_path / f".w.svg.{os.getpid()}.new").mkdir()
    with pytest.raises(NotWellError, match=r"cannot write .*w\.svg: "):
        write_whole(path, "after")
    assert path.read_text(encoding="utf-8") == "before"


@pytest.mark.parametrize("name", ["/dev/null", ".", "", "/proc/self/none/w.svg", "none/w.svg"])
def test_what_a_rename_would_destroy_or_miss_is_refused_before_anything_is_measured(name: str) -> None:
    with pytest.raises(ArgumentTypeError, match="expected a file"):
        writable_file(name)


def test_a_pipe_behind_another_name_is_refused() -> None:
    read_end, write_end = os.pipe()
    try:
        with pytest.raises(ArgumentTypeError, match="expected a file"):
            writable_file(f"/proc/self/fd/{write_end}")
    finally:
        os.close(read_end)
        os.close(write_end)
