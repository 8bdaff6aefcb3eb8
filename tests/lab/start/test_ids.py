"""Which ids of the lab the users of a Machine are, for every shape that a uid_map can have."""

from __future__ import annotations

import random

import pytest

from lab.start.ids import COUNT, FIRST, Extent, Ids, extents, high_range, mapped

WHOLE_HOST = ((0, 0, 4294967295),)
ONE_ID = ((0, 1000, 1),)
WITH_SUBUIDS = ((0, 1000, 1), (1, 100000, 65536))
CONTAINER = ((0, 0, 1), (1, 200001, 65535))
ROOT_ALONE = ((0, 0, 1),)


def test_the_rows_of_a_map_are_read_lowest_first_however_the_kernel_lines_them_up() -> None:
    assert extents("         1     100000      65536\n         0       1000          1\n") == WITH_SUBUIDS
    assert extents("0 0 4294967295\n") == WHOLE_HOST


@pytest.mark.parametrize(
    ("lab", "machine"),
    [
        (WHOLE_HOST, ((0, FIRST, COUNT),)),
        (((0, 0, FIRST + COUNT),), ((0, FIRST, COUNT),)),
        (((0, 0, FIRST + COUNT - 1),), ((0, FIRST - 1, COUNT),)),
        (((0, 0, 1), (FIRST, 5, COUNT)), ((0, FIRST, COUNT),)),
        (CONTAINER, ((0, 1, 65535),)),
        (((0, 0, 65536),), ((0, 1, 65535),)),
        (((0, 0, 200000),), ((0, 134464, COUNT),)),
        (((0, 0, 2),), ((0, 1, 1),)),
        (((0, 0, 1), (1, 200001, 1)), ((0, 1, 1),)),
        (((0, 0, 1), (1000, 200001, 100), (2000, 300001, 50)), ((0, 1000, 100),)),
        (((0, 0, 3), (5, 200001, 3)), ((0, 5, 3),)),
        (ROOT_ALONE, ((0, 0, 1),)),
    ],
    ids=["whole host", "just enough", "one too few", "a gap before the high ids", "container", "one extent of 65536",
         "one extent of 200000", "two ids", "two ids in two extents", "gaps", "root's extent is no larger without root",
         "root alone"],
)  # fmt: skip
def test_where_the_lab_s_root_is_root_outside_a_machine_gets_the_highest_ids_there_are(
    lab: tuple[Extent, ...], machine: tuple[Extent, ...]
) -> None:
    assert mapped(lab) == machine


@pytest.mark.parametrize(
    ("lab", "machine"),
    [
        (ONE_ID, ((0, 0, 1),)),
        (WITH_SUBUIDS, ((0, 0, 1), (1, 1, 65536))),
        (((0, 100000, 65536),), ((0, 0, 65536),)),
        (((0, 100000, 1000), (5000, 200000, 10)), ((0, 0, 1000), (5000, 5000, 10))),
    ],
    ids=["one id", "an ordinary user with subuids", "a container whose root is an ordinary id", "gaps"],
)
def test_where_the_lab_s_root_is_an_ordinary_user_outside_a_machine_has_the_same_ids(
    lab: tuple[Extent, ...], machine: tuple[Extent, ...]
) -> None:
    assert mapped(lab) == machine


def test_no_machine_of_a_lab_whose_root_is_root_has_that_id_where_there_is_another() -> None:
    """The ids of a Machine lie in one extent of the lab's, so that the kernel accepts the map."""
    chance = random.Random(7)  # noqa: S311 - the same maps every time
    for _ in range(2000):
        lab, inside = [(0, 0, chance.choice([1, 1, 2, 3, 1000, 65536, 2**31]))], 0
        for _ in range(chance.randrange(4)):
            inside = lab[-1][0] + lab[-1][2] + chance.choice([0, 0, 1, 5000])
            lab.append((inside, 2**31 + 2**20 * len(lab), chance.choice([1, 2, 50, 65536, 100000])))
        first, count = high_range(tuple(lab))
        if lab == [ROOT_ALONE[0]]:
            assert count == 0
            continue
        assert first >= 1, lab
        assert 1 <= count <= COUNT, lab
        assert any(start <= first and first + count <= start + length for start, _, length in lab), lab


def test_the_maps_are_written_as_the_kernel_wants_them() -> None:
    found = Ids(mapped(WITH_SUBUIDS), mapped(WHOLE_HOST))
    assert found.text() == ("0 0 1\n1 1 65536\n", f"0 {FIRST} {COUNT}\n")
    assert found.root == (0, FIRST)


@pytest.mark.parametrize(
    ("users", "groups", "own"),
    [
        (WHOLE_HOST, WHOLE_HOST, True),
        (ROOT_ALONE, ROOT_ALONE, False),
        (ROOT_ALONE, WHOLE_HOST, False),
        (WHOLE_HOST, ROOT_ALONE, False),
        (ONE_ID, ONE_ID, False),
    ],
    ids=["both", "neither", "only the group", "only the user", "an ordinary user"],
)
def test_a_machine_s_root_is_somebody_else_only_when_user_and_group_are(
    users: tuple[Extent, ...], groups: tuple[Extent, ...], own: bool
) -> None:
    assert Ids(mapped(users), mapped(groups)).own is own
