from __future__ import annotations

import pytest

from shell.goduration import parse_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s", 10),
        ("1m30s", 90),
        ("1.5h", 5400),
        ("300ms", 0.3),
        ("-2s", -2),
        ("+2s", 2),
        ("0", 0),
        ("1us", 1e-6),
        ("1µs", 1e-6),
        ("5ns", 5e-9),
        (".5s", 0.5),
        ("24h", 86400),
    ],
)
def test_go_durations_are_read(text: str, seconds: float) -> None:
    assert parse_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 'time: invalid duration ""'),
        ("10", 'time: missing unit in duration "10"'),
        ("10x", 'time: unknown unit "x" in duration "10x"'),
        ("s", 'time: invalid duration "s"'),
        ("-", 'time: invalid duration "-"'),
        ("1s 2s", 'time: unknown unit "s " in duration "1s 2s"'),
    ],
)
def test_what_is_no_duration_is_refused_in_the_words_of_go(text: str, words: str) -> None:
    with pytest.raises(ValueError, match="time: ") as caught:
        parse_seconds(text)
    assert str(caught.value) == words
