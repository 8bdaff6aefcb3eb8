from __future__ import annotations

import pytest

from shell.escape import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, é and 字", "plain text, é and 字"),
        ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("a\nb\rc\td\0e\x7f", r"a\nb\rc\td\x00e\x7f"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202ereversed\u2066", r"\u202ereversed\u2066"),
        ("\u2028\ud800", r"\u2028\ud800"),
        ("\U000e0041", r"\U000e0041"),
        (r"\x1b", r"\\x1b"),
    ],
)
def test_what_is_not_printable_is_written_as_its_code(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_no_character_at_all_gets_through_raw() -> None:
    shown = "".join(printable(chr(code)) for code in range(0x110000))
    assert shown.isprintable()
