from __future__ import annotations

import tomllib
from datetime import time
from typing import TYPE_CHECKING, Any

import pytest

from shell.flytoml import FlyTomlError, document
from shell.flytoml.newer import as_1_0
from tests.shell.test_flytoml_lines import CORPUS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("a = {\n  b = 1, # }\n  c = [\n 1,\n 2,\n ], }", {"a": {"b": 1, "c": [1, 2]}}),
        ("a = [{ b = 1, }, {\n}]", {"a": [{"b": 1}, {}]}),
        (r'a = "\e[\x41\\x41\\e"', {"a": "\x1b[A\\x41\\e"}),
        ('"\\x41" = """\\e\n{,}"""', {"A": "\x1b\n{,}"}),
        ("a = 07:32\nb = {c = 07:32,}", {"a": time(7, 32), "b": {"c": time(7, 32)}}),
        ("a = '{ b, }\\e'\nc = {\nd = '''\n{, }\n'''\n}", {"a": "{ b, }\\e", "c": {"d": "{, }\n"}}),
        ("# it's {\na = {\n}", {"a": {}}),
    ],
)
def test_what_toml_1_1_added_is_read(tmp_path: Path, text: str, means: dict[str, Any]) -> None:
    path = tmp_path / "fly.toml"
    path.write_text(text)
    assert document(path).tree == means


@pytest.mark.parametrize("text", ["a = {,}", "a = { b = 1 c = 2 }", 'a = "\\q"', "a = {\n", "a = 1,", "a = [1,,]"])
def test_what_is_no_toml_1_1_either_is_told_in_its_own_place(tmp_path: Path, text: str) -> None:
    path = tmp_path / "fly.toml"
    path.write_text(f"app = 'x'\n{text}")
    with pytest.raises(FlyTomlError, match=r"fly\.toml:[23]: not TOML"):
        document(path)


def test_lines_are_those_of_the_file_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "fly.toml"
    path.write_text('a = {\n  b = 1,\n  "\\x63" = [\n { d = 2, },\n],\n}\ne = 1\n')
    lines = document(path).lines
    assert [lines.line_of(key) for key in ("a", "a.b", "a.c", "a.c[0].d", "e")] == [1, 2, 3, 4, 7]


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.toml")), ids=lambda path: path.stem)
def test_toml_1_0_means_the_same(path: Path) -> None:
    text = path.read_text()
    try:
        means = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert tomllib.loads(as_1_0(text)) == means
