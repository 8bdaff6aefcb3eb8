"""Autostop, over every small case."""

from __future__ import annotations

from itertools import combinations_with_replacement, product

import pytest

from lab.policy import (
    MachineLoad,
    ServiceLoad,
    Stop,
    excess_capacity,
    machines_to_stop,
)
from shell.flytoml import AutoStop

SOFT, HARD = 2, 3


@pytest.mark.parametrize(("running", "over", "excess"), [(1, 0, 0), (2, 0, 1), (2, 1, 0), (5, 2, 2), (0, 0, -1)])
def test_excess_is_running_less_the_busy_and_one_spare(running: int, over: int, excess: int) -> None:
    assert excess_capacity(running, over) == excess


def machine(
    machine_id: str,
    load: int = 0,
    *,
    region: str = "ams",
    group: str = "app",
    started: bool = True,
    auto_stop: AutoStop = AutoStop.STOP,
    minimum: int = 0,
) -> MachineLoad:
    service = ServiceLoad(load, SOFT, auto_stop, minimum)
    return MachineLoad(machine_id, region, group, started, (service,))


def stops(*machines: MachineLoad) -> tuple[Stop, ...]:
    return machines_to_stop(machines, primary_region="ams")


def test_a_lone_idle_machine_stops_and_a_lone_busy_one_does_not() -> None:
    assert stops(machine("m1")) == (Stop("m1", "ams", "app", 0, 1),)
    assert stops(machine("m1", load=1)) == ()


def test_every_small_region_stops_at_most_one_idle_machine_by_the_arithmetic() -> None:
    kinds = list(product((True, False), range(HARD + 1)))
    for size in range(5):
        for chosen in combinations_with_replacement(kinds, size):
            machines = [machine(f"m{n}", load, started=started) for n, (started, load) in enumerate(chosen)]
            running = [m for m in machines if m.started]
            over = sum(m.services[0].load >= SOFT for m in running)
            idle = sorted(m.machine_id for m in running if m.services[0].load == 0)
            allowed = len(running) == 1 or excess_capacity(len(running), over) >= 1
            expected = [idle[0]] if idle and allowed else []
            assert [stop.machine_id for stop in stops(*machines)] == expected, machines


def test_the_order_of_machines_does_not_matter() -> None:
    one, two, three = machine("m1"), machine("m2"), machine("m3", load=1)
    assert stops(three, two, one) == stops(one, two, three) == (Stop("m1", "ams", "app", 2, 3),)


def test_each_region_stops_one_in_a_pass() -> None:
    machines = [machine(f"{region}{n}", region=region) for region in ("ams", "cdg") for n in range(3)]
    assert [(stop.machine_id, stop.left_running) for stop in stops(*machines)] == [("ams0", 2), ("cdg0", 2)]


def test_two_process_groups_in_a_region_still_stop_one_in_a_pass() -> None:
    assert stops(machine("m2", group="web"), machine("m1", group="worker")) == (Stop("m2", "ams", "web", 0, 1),)


@pytest.mark.parametrize("minimum", [0, 1, 2, 3])
def test_min_machines_running_counts_in_the_primary_region_only(minimum: int) -> None:
    at_home = [machine(f"a{n}", minimum=minimum) for n in range(2)]
    away = [machine(f"c{n}", minimum=minimum, region="cdg") for n in range(2)]
    stopped = [stop.machine_id for stop in stops(*at_home, *away)]
    assert stopped == (["a0", "c0"] if minimum < 2 else ["c0"])


@pytest.mark.parametrize("other", [ServiceLoad(0, 20, AutoStop.OFF, 0), ServiceLoad(1, 20, AutoStop.STOP, 0)])
def test_one_service_that_wants_the_machine_keeps_it_awake(other: ServiceLoad) -> None:
    idle = ServiceLoad(0, 20, AutoStop.STOP, 0)
    assert stops(MachineLoad("m1", "ams", "app", started=True, services=(idle, other))) == ()


def test_the_highest_minimum_of_all_services_counts() -> None:
    services = (ServiceLoad(0, 20, AutoStop.STOP, 0), ServiceLoad(0, 20, AutoStop.STOP, 1))
    assert stops(MachineLoad("m1", "ams", "app", started=True, services=services)) == ()


def test_a_machine_without_services_is_left_alone() -> None:
    assert stops(MachineLoad("m1", "ams", "worker", started=True, services=())) == ()


@pytest.mark.parametrize("kinds", list(product((AutoStop.STOP, AutoStop.SUSPEND), repeat=2)))
def test_a_machine_is_suspended_only_when_all_its_services_ask_for_that(kinds: tuple[AutoStop, ...]) -> None:
    services = tuple(ServiceLoad(0, 20, kind, 0) for kind in kinds)
    (stop,) = machines_to_stop([MachineLoad("m1", "ams", "app", True, services)], primary_region="ams")
    assert stop.suspend == (AutoStop.STOP not in kinds)


def test_every_small_pair_of_services_in_both_regions_obeys_the_most_restrictive() -> None:
    """One or two started Machines with two services each, at home and away, against the rules said once more."""
    kinds = [
        ServiceLoad(load, SOFT, stop, minimum)
        for load, stop, minimum in product((0, 1, SOFT), (AutoStop.OFF, AutoStop.STOP, AutoStop.SUSPEND), (0, 1, 2))
    ]
    pairs = list(combinations_with_replacement(kinds, 2))
    idle = (ServiceLoad(0, SOFT, AutoStop.STOP, 0),)
    for region, others, services in product(("ams", "cdg"), (0, 1), pairs):
        machines = [MachineLoad("m1", region, "app", started=True, services=services)]
        machines += [MachineLoad("m0", region, "app", started=True, services=idle)] * others
        running = 1 + others
        busy = any(s.load >= SOFT for s in services)
        may = all(s.load == 0 and s.auto_stop is not AutoStop.OFF for s in services)
        wanted = max(s.min_machines_running for s in services) if region == "ams" else 0
        expected: tuple[str, ...] = ()
        if others and not busy:  # one more than the load asks for, and m0 comes first
            expected = ("m0",)
        elif not others and may and running > wanted:
            expected = ("m1",)
        assert tuple(stop.machine_id for stop in stops(*machines)) == expected, machines
