"""Routing and autostop, over every small case."""

from __future__ import annotations

import random
from itertools import combinations_with_replacement, product

import pytest

from lab.policy import (
    Candidate,
    Decision,
    MachineLoad,
    Queue,
    Refuse,
    Route,
    ServiceLoad,
    Stop,
    Wake,
    choose,
    excess_capacity,
    machines_to_stop,
)
from lab.states import ASLEEP, MachineState
from shell.flytoml import AutoStop

SOFT, HARD = 2, 3
UP = (MachineState.STARTED, MachineState.STARTING)


def decide(candidates: list[Candidate], *, auto_start: bool = True, hard: int | None = HARD) -> Decision:
    return choose(
        candidates,
        soft_limit=SOFT,
        hard_limit=hard,
        auto_start=auto_start,
        region="ams",
        rng=random.Random(1),  # noqa: S311 - the same choices every time
    )


KINDS = list(product(MachineState, range(HARD + 1), ("ams", "cdg")))


def all_apps(size: int) -> list[list[Candidate]]:
    return [
        [Candidate(f"m{n}", region, state, load) for n, (state, load, region) in enumerate(kinds)]
        for kinds in combinations_with_replacement(KINDS, size)
    ]


@pytest.mark.parametrize("auto_start", [True, False])
@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_every_small_app_is_routed_by_the_rules(size: int, auto_start: bool) -> None:
    for candidates in all_apps(size):
        check(candidates, decide(candidates, auto_start=auto_start), auto_start=auto_start)


def check(candidates: list[Candidate], decision: Decision, *, auto_start: bool) -> None:
    shown = f"{candidates} autostart={auto_start} -> {decision}"
    started = [c for c in candidates if c.state is MachineState.STARTED]
    below_soft = [c for c in started if c.load < SOFT]
    room = [c for c in candidates if c.load < HARD and (auto_start or c.state in UP)]
    if below_soft:
        assert isinstance(decision, Route), shown
        chosen = next(c for c in candidates if c.machine_id == decision.machine_id)
        assert chosen in below_soft, shown
        assert _rank(chosen) == min(map(_rank, below_soft)), shown
    elif not room:
        waits = any(auto_start or c.state in UP for c in candidates)
        assert isinstance(decision, Queue if waits else Refuse), shown
    else:
        assert isinstance(decision, Route | Wake), shown
        chosen = next(c for c in candidates if c.machine_id == decision.machine_id)
        assert chosen in room, shown
        assert isinstance(decision, Route) == (chosen.state is MachineState.STARTED), shown
        if any(c.state is MachineState.STARTING and c.load < HARD for c in candidates):
            assert chosen.state in UP, f"a second start while one is under way: {shown}"
        elif any(c.state in ASLEEP for c in room):
            assert chosen.state in ASLEEP, shown


def _rank(candidate: Candidate) -> tuple[bool, str, int]:
    return candidate.region != "ams", candidate.region, candidate.load


def test_ties_are_broken_by_chance_and_by_nothing_else() -> None:
    twins = [Candidate(f"m{n}", "ams", MachineState.STARTED, 0) for n in range(3)]
    rng = random.Random(2)  # noqa: S311 - the same choices every time
    chosen = {choose(twins, soft_limit=2, hard_limit=None, auto_start=True, region="ams", rng=rng) for _ in range(100)}
    assert chosen == {Route("m0"), Route("m1"), Route("m2")}


def test_without_a_hard_limit_nothing_queues() -> None:
    assert decide([Candidate("m1", "ams", MachineState.STARTED, 9999)], hard=None) == Route("m1")


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
