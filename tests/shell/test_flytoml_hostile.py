"""What a careless or a hostile person passes for a fly.toml: one clear error, soon."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from shell.flytoml import FlyToml, FlyTomlError, document, read

if TYPE_CHECKING:
    from pathlib import Path


def read_text(folder: Path, text: str) -> FlyToml:
    path = folder / "fly.toml"
    path.write_text(text, encoding="utf-8")
    return read(path)


def test_a_missing_file_a_folder_and_a_huge_file_are_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FlyTomlError, match=r"none\.toml: expected a fly\.toml, got: No such file"):
        read(tmp_path / "none.toml")
    with pytest.raises(FlyTomlError, match="got: Is a directory"):
        read(tmp_path)
    (tmp_path / "big.toml").write_bytes(b"#" * (2 << 20))
    with pytest.raises(FlyTomlError, match="got a larger file"):
        read(tmp_path / "big.toml")


def test_a_pipe_and_a_device_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fly.toml")
    with pytest.raises(FlyTomlError, match=r"expected a fly\.toml, got a pipe"):
        read(tmp_path / "fly.toml")
    (tmp_path / "zero.toml").symlink_to("/dev/zero")
    with pytest.raises(FlyTomlError, match=r"expected a fly\.toml, got a device"):
        read(tmp_path / "zero.toml")


def test_a_symlink_is_followed_and_a_loop_of_them_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "real.toml").write_text('app = "x"\n')
    (tmp_path / "link.toml").symlink_to("real.toml")
    assert read(tmp_path / "link.toml").app_name == "x"
    (tmp_path / "round.toml").symlink_to("round.toml")
    with pytest.raises(FlyTomlError, match="got: Too many levels of symbolic links"):
        read(tmp_path / "round.toml")


def test_a_path_with_nul_is_an_error_of_one_printable_line(tmp_path: Path) -> None:
    with pytest.raises(FlyTomlError, match="with NUL in it") as caught:
        read(tmp_path / "a\0b")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000,
        "a = " + "[" * 400 + "]" * 400,
        "a = " + "{b=" * 300 + "1" + "}" * 300,
        ".".join(["a"] * 1000) + " = 1",
        f"[{'.'.join(['a'] * 100_000)}]\n" + "".join(f"b{n} = 1\n" for n in range(20_000)),
        "[[" + "]]\n[[".join(".".join(["a"] * n) for n in range(1, 70)) + "]]",
        "a = " + "9" * 100_000,
        'app = "a\0b"',
        "\0",
        "\ufeff\ufeffapp = 1",
        "[env]\n" + ".".join(["A"] * 200) + " = 1",
    ],
    ids=[
        "[[[[",
        "arrays",
        "inline",
        "dotted",
        "header",
        "headers",
        "digits",
        "nul in text",
        "nul",
        "marks",
        "variable",
    ],
)
def test_nesting_without_end_digits_and_nul_are_errors_and_not_tracebacks(tmp_path: Path, text: str) -> None:
    with pytest.raises(FlyTomlError) as caught:
        read_text(tmp_path, text)
    assert len(str(caught.value)) < 1000 + len(str(tmp_path)), "the message repeats the file"


@pytest.mark.parametrize(
    "text",
    [
        "kill_timeout = inf",
        "kill_timeout = nan",
        f'kill_timeout = "{"9" * 400}h"',
        f"kill_timeout = 1{'0' * 4000}",
        f"app = 0x{'f' * 9000}",
        f"[env]\nA = 0x{'f' * 9000}",
        f'[[services]]\nconcurrency = "1,{"9" * 5000}"',
        f'[[services]]\ninternal_port = "{"9" * 5000}"',
        "[[services]]\ninternal_port = inf",
        "[http_service]\ninternal_port = nan",
        "[checks.a]\ninterval = nan",
        "[[http_service.checks]]\ninterval = inf",
    ],
)
def test_numbers_out_of_all_bounds_are_errors_and_not_tracebacks(tmp_path: Path, text: str) -> None:
    with pytest.raises(FlyTomlError, match="expected "):
        read_text(tmp_path, text)


def test_memory_out_of_all_bounds_counts_as_not_given(tmp_path: Path) -> None:
    assert read_text(tmp_path, f'[vm]\nmemory = "{"9" * 400}tb"\n').memory_mb == 256
    assert read_text(tmp_path, "[vm]\nmemory = inf\n").memory_mb == 256


@pytest.mark.parametrize(
    "text",
    [
        "a = [" + "1_000_000," * 50_000 + "]",
        "a = [" + "{}," * 30_000 + "]",
        f'["{"k" * 100_000}"]\n' + "".join(f"b{n} = 1\n" for n in range(10_000)),
        "\n" * 300_000 + "a = 1",
        'a = """' + '"\n' * 400_000 + '"""',
        "# " + "[" * 1_000_000,
    ],
    ids=["numbers", "tables", "long name", "empty lines", "long text", "comment"],
)
def test_a_large_file_of_anything_is_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "fly.toml"
    path.write_text(text)
    found = document(path)
    assert found.lines.line_of("nothing") == 1
