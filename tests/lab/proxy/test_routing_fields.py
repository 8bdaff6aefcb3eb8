"""Reading where a request asks to go."""

from __future__ import annotations

import pytest

from lab.proxy.choice import NO_WISH, Wish
from lab.proxy.errors import BadReplayError
from lab.proxy.heads import Fields
from lab.proxy.routing_fields import Replay, parse_replay, wish_of

AMS, NRT = frozenset({"ams"}), frozenset({"nrt"})


def wish(**fields: str) -> Wish:
    return wish_of(Fields([(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]))


def test_a_request_without_such_fields_has_no_wish() -> None:
    assert wish(host="shop.flycast", fly_region="ams") is NO_WISH


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"fly_prefer_region": "ams"}, Wish(regions=(AMS,))),
        ({"fly_prefer_region": " AMS , nrt,,"}, Wish(regions=(AMS, NRT))),
        ({"fly_force_region": "nrt"}, Wish(regions=(NRT,), regions_only=True)),
        ({"fly_force_region": "nrt,any"}, Wish(regions=(NRT,))),
        ({"fly_force_region": "nrt", "fly_prefer_region": "ams"}, Wish(regions=(NRT,), regions_only=True)),
        ({"fly_prefer_instance_id": "m1"}, Wish(machine_id="m1")),
        ({"fly_force_instance_id": "m1"}, Wish(machine_id="m1", machine_only=True)),
        (
            {"fly_force_instance_id": "m1", "fly_prefer_instance_id": "m2", "fly_prefer_region": "ams"},
            Wish(regions=(AMS,), machine_id="m1", machine_only=True),
        ),
    ],
)
def test_a_client_s_wish_is_read(fields: dict[str, str], expected: Wish) -> None:
    assert wish(**fields) == expected


def test_an_alias_is_a_set_of_regions() -> None:
    (eu,) = wish(fly_prefer_region="eu").regions
    assert {"ams", "cdg", "fra", "lhr"} <= eu
    assert wish(fly_prefer_region="us").regions[0] < wish(fly_prefer_region="na").regions[0]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("region=ams", Replay(Wish(regions=(AMS,), regions_only=True))),
        ('region="ams,nrt"', Replay(Wish(regions=(AMS, NRT), regions_only=True))),
        ('region="ams,any";app=other', Replay(Wish(regions=(AMS,)), "other")),
        ("instance=m2", Replay(Wish(machine_id="m2", machine_only=True))),
        ("prefer_instance=m2; region=ams", Replay(Wish((AMS,), regions_only=True, machine_id="m2"))),
        ("app=other", Replay(Wish(), "other")),
        ("elsewhere=true", Replay(Wish(shunned="me"))),
        ("elsewhere=false;app=other;", Replay(Wish(), "other")),
        ('state="a b;c=d";app=other', Replay(Wish(), "other", "a b;c=d")),
        ("App = other ; State = x", Replay(Wish(), "other", "x")),
    ],
)
def test_fly_replay_is_read(value: str, expected: Replay) -> None:
    assert parse_replay(value.encode(), "me") == expected


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("", "got nothing"),
        ("nonsense", "expected field=value;…, got 'nonsense'"),
        ('region="ams', "expected field=value"),
        ('region="ams"x', "expected field=value"),
        ("elsewhere=yes", "elsewhere: expected true or false, got 'yes'"),
        ("timeout=10s;app=other", "prefer_instance, region, state, got 'timeout'"),
        ("planet=mars", "got 'planet'"),
        ("=x", "expected field=value"),
    ],
)
def test_a_fly_replay_nobody_can_follow_is_told_with_pa03(value: str, told: str) -> None:
    with pytest.raises(BadReplayError) as error:
        parse_replay(value.encode(), "me")
    assert str(error.value).startswith("[PA03] could not parse 'fly-replay' response header returned by app: ")
    assert told in str(error.value)
    assert error.value.status == 502


def test_the_source_of_a_replay_names_the_machine_the_time_and_the_state() -> None:
    assert Replay(Wish(), state="s=1").source("m1", "ams", 1700) == b"instance=m1;region=ams;t=1700;state=s=1"
    assert Replay(Wish()).source("m1", "ams", 1700) == b"instance=m1;region=ams;t=1700"
