"""Distances between regions: a metric, and the right order of magnitude."""

from __future__ import annotations

from itertools import product

import pytest

from lab.regions import FARTHEST_KM, PLACES, distance_km


@pytest.mark.parametrize(
    ("one", "other", "km"),
    [("ams", "cdg", 430), ("lhr", "ewr", 5570), ("sjc", "iad", 3850), ("nrt", "syd", 7820), ("gru", "jnb", 7430)],
)
def test_distances_are_those_of_the_map(one: str, other: str, km: float) -> None:
    assert distance_km(one, other) == pytest.approx(km, rel=0.02)


def test_distance_is_a_metric_over_all_regions() -> None:
    for one, other in product(PLACES, PLACES):
        there = distance_km(one, other)
        assert there == pytest.approx(distance_km(other, one))
        assert (there == 0) == (one == other)
        assert there < FARTHEST_KM
        assert all(there <= distance_km(one, via) + distance_km(via, other) + 1e-6 for via in PLACES)


def test_a_region_nobody_knows_is_as_far_as_can_be_but_not_from_itself() -> None:
    assert distance_km("xyz", "ams") == distance_km("ams", "xyz") == distance_km("xyz", "zyx") == FARTHEST_KM
    assert distance_km("xyz", "xyz") == 0


def test_every_region_is_three_letters_and_on_earth() -> None:
    for region, (north, east) in PLACES.items():
        assert len(region) == 3
        assert -60 < north < 70
        assert -180 < east <= 180
