"""`--scale`: numbers, regions and process groups."""

from __future__ import annotations

import pytest

from lab.errors import UsageError
from lab.scale import check_groups, machines_of, parse_scale


@pytest.mark.parametrize(
    ("text", "web", "worker"),
    [
        ("1", {"ams": 1}, {"ams": 1}),
        ("3", {"ams": 3}, {"ams": 3}),
        ("cdg=1,ams=2", {"cdg": 1, "ams": 2}, {"cdg": 1, "ams": 2}),
        ("web:2", {"ams": 2}, {"ams": 1}),
        ("web:ams=2,web:cdg=1,worker:1", {"ams": 2, "cdg": 1}, {"ams": 1}),
        ("web:cdg=2,syd=3", {"cdg": 2}, {"syd": 3}),
        ("2,ams=1", {"ams": 3}, {"ams": 3}),
    ],
)
def test_a_group_gets_its_own_parts_else_those_for_all_else_one_machine(
    text: str, web: dict[str, int], worker: dict[str, int]
) -> None:
    parts = parse_scale(text)
    assert machines_of(parts, "web", "ams") == web
    assert machines_of(parts, "worker", "ams") == worker


@pytest.mark.parametrize("text", ["", "0", "-1", "ams", "ams=0", "Amsterdam=1", "ams=1,,cdg=2", "1.5", "web:", ":1"])
def test_a_scale_that_makes_no_sense_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(UsageError, match=r"--scale: expected N, REGION=N or GROUP:REGION=N"):
        parse_scale(text)


@pytest.mark.parametrize("text", ["ams=1,ams=2", "1,2", "web:1,web:2", "web:ams=1,web:ams=1"])
def test_one_thing_said_twice_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="once"):
        parse_scale(text)


def test_a_group_that_no_app_has_is_named_with_those_there_are() -> None:
    check_groups(parse_scale("web:1,3"), ["web", "worker"])
    with pytest.raises(UsageError, match=r"groups web, worker, got 'wep'"):
        check_groups(parse_scale("wep:1"), ["web", "worker"])
