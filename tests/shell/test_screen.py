from __future__ import annotations

import io
import re

import pytest

from shell.screen import Bar, Column, Screen, Table

TABLE = Table(
    "times",
    (Column("name"), Column("ms", numeric=True)),
    (("cold", "1234.5"), ("w\x1b[31m[bold]", "1.0")),
    (Bar(1.0, "cyan"), Bar(0.0, "green")),
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def colour_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)


def test_elsewhere_a_table_is_plain_aligned_text_without_bars() -> None:
    stream = io.StringIO()
    Screen(stream, color=True).table(TABLE)
    assert stream.getvalue() == (
        "times\nname                 ms\ncold             1234.5\nw\\x1b[31m[bold]     1.0\n\n"
    )


def test_on_a_terminal_there_are_bars_and_colour_and_nothing_hostile() -> None:
    stream = Terminal()
    Screen(stream, color=True).table(TABLE)
    text = stream.getvalue()
    assert "█" * 24 in text
    assert "\x1b[36;49m" in text
    assert r"w\x1b[31m[bold]" in text, "the record's escape must be shown, its markup not obeyed"


def test_without_colour_a_terminal_gets_bars_and_no_escape_at_all() -> None:
    stream = Terminal()
    Screen(stream, color=False).table(TABLE)
    assert "█" * 24 in stream.getvalue()
    assert not re.search("\x1b", stream.getvalue())


def test_a_line_is_escaped() -> None:
    stream = Terminal()
    Screen(stream, color=True).line("a\x1b[2Jb")
    assert stream.getvalue() == "a\\x1b[2Jb\n"


def test_a_narrow_terminal_shortens_the_bars_and_keeps_their_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "34")
    stream = Terminal()
    half = Table("t", TABLE.columns, TABLE.rows, (Bar(1.0, "cyan"), Bar(0.5, "green")))
    Screen(stream, color=False).table(half)
    lengths = [line.count("█") for line in stream.getvalue().splitlines() if "█" in line]
    assert lengths[0] < 24
    assert lengths[1] in {lengths[0] // 2, (lengths[0] + 1) // 2}, stream.getvalue()
