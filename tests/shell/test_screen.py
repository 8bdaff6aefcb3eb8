from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.text import Text

from shell.screen import Screen
from tests.shell.terminal import Terminal

if TYPE_CHECKING:
    from rich.console import JustifyMethod

COLUMNS: dict[str, JustifyMethod] = {"name": "left", "ms": "right", "note": "left"}
ROWS = (("cold", "1234.5", Text("███", "cyan")), ("w\x1b[31m[bold]:smile:", "1.0", ""))


@pytest.fixture(autouse=True)
def colour_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)


def table_on(stream: io.StringIO, *, color: bool = True) -> str:
    Screen(stream, color=color).table("times", COLUMNS, ROWS)
    return stream.getvalue()


def test_elsewhere_a_table_is_plain_aligned_text() -> None:
    assert table_on(io.StringIO()) == (
        "times\n"
        "name                        ms  note\n"
        "cold                    1234.5  ███\n"
        "w\\x1b[31m[bold]:smile:     1.0\n\n"
    )


def test_elsewhere_no_row_is_ever_folded() -> None:
    stream = io.StringIO()
    Screen(stream, color=True).table("times", COLUMNS, [("x" * 5000, "1", "")])
    assert "x" * 5000 in stream.getvalue()


def test_a_variable_that_forces_colour_does_not_reach_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in table_on(io.StringIO())


def test_on_a_terminal_there_is_colour_and_nothing_hostile() -> None:
    text = table_on(Terminal())
    assert "\x1b[36m███" in text
    assert r"w\x1b[31m[bold]:smile:" in text, "the record's escape must be shown, its markup not obeyed"


def test_without_colour_a_terminal_gets_bars_and_no_escape_at_all() -> None:
    text = table_on(Terminal(), color=False)
    assert "███" in text
    assert "\x1b" not in text


def test_a_line_is_escaped() -> None:
    stream = Terminal()
    Screen(stream, color=True).line("a\x1b[2Jb")
    assert stream.getvalue() == "a\\x1b[2Jb\n"


@pytest.mark.parametrize(("columns", "width"), [(100, 24), (90, 20), (86, 16), (85, 0), (20, 0)])
def test_bars_take_the_room_there_is(monkeypatch: pytest.MonkeyPatch, columns: int, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert Screen(Terminal(), color=False).bar_width(70) == width
    assert Screen(io.StringIO(), color=False).bar_width(70) == 0, "no bars elsewhere"
