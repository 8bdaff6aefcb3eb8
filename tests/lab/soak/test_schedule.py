"""The schedule: replayable, of every kind, and in order."""

from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise

import pytest

from lab.faults import KINDS as LAB_KINDS
from lab.faults import Faults, switch
from tests.lab.soak.schedule import CROWDS, KINDS, REST_SECONDS, SWITCHED, Fault, Step, schedule

STEPS = 2000


def first_steps(seed: int) -> list[Step]:
    return list(islice(schedule(seed, 3), STEPS))


def test_the_same_seed_gives_the_same_faults_at_the_same_times_and_another_one_others() -> None:
    assert first_steps(1) == first_steps(1)
    assert first_steps(1) != first_steps(2)


def test_every_fault_comes_and_every_machine_has_its_turn() -> None:
    steps = first_steps(3)
    assert set(Counter(step.fault for step in steps)) == set(Fault)
    assert {step.machine for step in steps} == {0, 1, 2}


def test_times_only_grow_and_a_rest_is_never_far() -> None:
    steps = first_steps(4)
    assert all(one.at_seconds < other.at_seconds for one, other in pairwise(steps))
    rests = [step.at_seconds for step in steps if step.fault is Fault.REST]
    gaps = [other - one for one, other in pairwise(rests)]
    assert min(gaps) >= REST_SECONDS
    assert max(gaps) < REST_SECONDS + 15


def test_values_stay_within_their_kind() -> None:
    for step in first_steps(5):
        if step.fault is not Fault.REST:
            kind = KINDS[step.fault]
            assert round(kind.value[0]) <= step.value <= round(kind.value[1]), step
            assert kind.hold_seconds[0] <= step.hold_seconds <= kind.hold_seconds[1], step


@pytest.mark.parametrize("fault", sorted(SWITCHED))
def test_what_the_schedule_switches_a_lab_can_switch_with_any_value_it_may_have(fault: Fault) -> None:
    for bound in KINDS[fault].value:
        faults = Faults()
        switch(faults, [f"{fault}={round(bound)}" if bound else fault])
        assert getattr(faults, LAB_KINDS[fault].field)
        switch(faults, [f"{fault}=off"])
        assert faults == Faults()


def test_every_kind_has_a_way_to_be_carried_out() -> None:
    commands = {Fault.KILL, Fault.STOP, Fault.START, Fault.SUSPEND, Fault.REST}
    assert SWITCHED | CROWDS | commands == set(Fault)
    assert set(KINDS) == set(Fault) - {Fault.REST}


def test_a_step_tells_a_person_what_it_is() -> None:
    assert str(Step(61.5, Fault.STALE_DNS, 4, 7.25)) == "   61.50 stale-dns=4 for 7.2s"
    assert str(Step(3, Fault.KILL, machine=2)) == "    3.00 kill Machine 2"
