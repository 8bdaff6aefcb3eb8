from __future__ import annotations

import random

import pytest

from shell.flytoml.commands import why_not_split
from shell.flytoml.durations import DurationError, parse, written

HOUR = 3600 * 10**9


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0), ("+0", 0), ("-0", 0), ("0s", 0), ("1ns", 1), ("1us", 1000), ("1µs", 1000), ("1μs", 1000),
        ("1.5h", 3 * HOUR // 2), (".5s", 5 * 10**8), ("1.s", 10**9), ("-1m30s", -90 * 10**9), ("+2s", 2 * 10**9),
        ("1h1h", 2 * HOUR), ("2562047h47m16.854775807s", 2**63 - 1), ("-2562047h47m16.854775808s", -(2**63)),
        ("1.0000000001s", 10**9), ("0.1ns", 0), ("1s" * 200, 200 * 10**9),
    ],
)  # fmt: skip
def test_every_way_to_write_a_duration(text: str, nanoseconds: int) -> None:
    assert parse(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", 'time: invalid duration ""'),
        ("-", 'time: invalid duration "-"'),
        ("s", 'time: invalid duration "s"'),
        (".s", 'time: invalid duration ".s"'),
        ("1s 2s", 'time: unknown unit "s " in duration "1s 2s"'),
        ("10", 'time: missing unit in duration "10"'),
        ("1m2", 'time: missing unit in duration "1m2"'),
        ("1..5s", 'time: missing unit in duration "1..5s"'),
        ("10x", 'time: unknown unit "x" in duration "10x"'),
        ("1S", 'time: unknown unit "S" in duration "1S"'),
        ("٣s", 'time: invalid duration "٣s"'),
        ("2562048h", 'time: invalid duration "2562048h"'),
        ("9" * 400 + "h", f'time: invalid duration "{"9" * 400}h"'),
        ("9" * 9000 + "h", f'time: invalid duration "{"9" * 9000}h"'),
    ],
)
def test_what_is_no_duration_is_refused_in_go_s_words(text: str, reason: str) -> None:
    with pytest.raises(DurationError) as caught:
        parse(text)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"), (5, "5ns"), (10_000, "10µs"), (1_500, "1.5µs"), (500 * 10**6, "500ms"), (10**9, "1s"),
        (61 * 10**9, "1m1s"), (120 * 10**9, "2m0s"), (HOUR, "1h0m0s"), (HOUR + 1, "1h0m0.000000001s"),
        (-1_500_000, "-1.5ms"), (-(2**63), "-2562047h47m16.854775808s"), (100 * 10**9, "1m40s"),
    ],
)  # fmt: skip
def test_a_duration_is_written_as_go_does(nanoseconds: int, text: str) -> None:
    assert written(nanoseconds) == text


def test_what_is_written_is_read_back() -> None:
    chance = random.Random(1)  # noqa: S311 - to be repeatable is the point
    for _ in range(2000):
        nanoseconds = chance.randrange(-(2 ** chance.randrange(1, 64)), 2 ** chance.randrange(1, 63))
        assert parse(written(nanoseconds)) == nanoseconds


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("", ""),
        ('a \'b c\' "d \\" e" f\\ g', ""),
        ("a # it's a comment", ""),
        ("a # it's\nb", ""),
        ("a#b'c'", ""),
        ("a '\\'", ""),
        ("echo 'oops", "EOF found when expecting closing quote"),
        ('a "b\\"', "EOF found when expecting closing quote"),
        ("a\nb # c\n'd", "EOF found when expecting closing quote"),
        ("a\\", "EOF found after escape character"),
        ('"\\', "EOF found after escape character"),
    ],
)
def test_why_a_command_cannot_be_split(command: str, reason: str) -> None:
    assert why_not_split(command) == reason
