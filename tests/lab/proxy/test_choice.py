"""Where a request goes, over every small app and every kind of wish."""

from __future__ import annotations

import random
from itertools import combinations_with_replacement, product

import pytest

from lab.proxy.choice import NO_WISH, Candidate, Decision, Queue, Refuse, Route, Rules, Wake, Wish, choose
from lab.states import ASLEEP, FALLING_ASLEEP, MachineState

SOFT, HARD = 2, 3
STARTED, STARTING, STOPPED = MachineState.STARTED, MachineState.STARTING, MachineState.STOPPED
UP = (STARTED, STARTING)


def decide(
    *candidates: Candidate, auto_start: bool = True, hard: int | None = HARD, wish: Wish = NO_WISH, region: str = "ams"
) -> Decision:
    rules = Rules(region, SOFT, hard, auto_start)
    return choose(candidates, rules, wish, random.Random(1))  # noqa: S311 - the same choices every time


KINDS = list(product(MachineState, range(HARD + 1), ("ams", "cdg")))


@pytest.mark.parametrize("auto_start", [True, False])
@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_every_small_app_is_routed_by_the_rules(size: int, auto_start: bool) -> None:
    for kinds in combinations_with_replacement(KINDS, size):
        candidates = [Candidate(f"m{n}", region, state, load) for n, (state, load, region) in enumerate(kinds)]
        check(candidates, decide(*candidates, auto_start=auto_start), auto_start=auto_start)


def check(candidates: list[Candidate], decision: Decision, *, auto_start: bool) -> None:
    shown = f"{candidates} autostart={auto_start} -> {decision}"
    room = [c for c in candidates if c.load < HARD and (auto_start or c.state in UP)]
    if not room:
        waits = any(auto_start or c.state in UP for c in candidates)
        assert isinstance(decision, Queue if waits else Refuse), shown
        return
    assert isinstance(decision, Route | Wake), shown
    chosen = next(c for c in candidates if c.machine_id == decision.machine_id)
    assert chosen in room, shown
    assert isinstance(decision, Route) == (chosen.state is STARTED), shown
    up = [c for c in room if c.state in UP]
    here = [c for c in up if c.region == ("ams" if any(c.region == "ams" for c in up) else "cdg")]
    below_soft = [c for c in here if c.load < SOFT]
    if below_soft and chosen.state in UP:
        assert chosen.load == min(c.load for c in below_soft if c.state is chosen.state), shown
        assert chosen.state is STARTED or not any(c.state is STARTED for c in below_soft), shown
    if chosen.state in UP:
        assert chosen.region == here[0].region, f"left a region that has room: {shown}"
    if chosen.state in ASLEEP:
        assert not any(c.state is STARTING and c.region == chosen.region for c in up), f"a second start: {shown}"
        assert not any(c.load < SOFT for c in up if c.region == "ams"), f"woken without need: {shown}"
    if chosen.state in FALLING_ASLEEP:
        assert not any(c.state in (*UP, *ASLEEP) for c in room), shown


@pytest.mark.parametrize(
    ("machines", "chosen"),
    [
        ("ams:started:2 cdg:started:0", 0),
        ("ams:started:3 cdg:started:2", 1),
        ("ams:stopped:0 cdg:started:0", 1),
        ("ams:stopped:0 cdg:started:2", 0),
        ("ams:started:2 ams:stopped:0 cdg:started:0", 1),
        ("ams:started:2 cdg:stopped:0", 0),
        ("ams:starting:2 ams:stopped:0", 0),
        ("ams:stopped:0 cdg:stopped:0", 0),
        ("nrt:started:0 fra:started:1 sjc:started:0", 1),
        ("nrt:stopped:0 lhr:stopped:0 cdg:stopped:0", 1),
    ],
)
def test_a_soft_limit_never_sends_a_request_to_a_farther_region(machines: str, chosen: int) -> None:
    candidates = []
    for number, text in enumerate(machines.split()):
        region, state, load = text.split(":")
        candidates.append(Candidate(f"m{number}", region, MachineState(state), int(load)))
    decision = decide(*candidates)
    assert isinstance(decision, Route | Wake)
    assert decision.machine_id == f"m{chosen}"


def test_ties_are_broken_by_chance_and_by_nothing_else() -> None:
    twins = [Candidate(f"m{n}", "ams", STARTED, 0) for n in range(3)]
    rng = random.Random(2)  # noqa: S311 - the same choices every time
    chosen = {choose(twins, Rules("ams", 2, None, auto_start=True), NO_WISH, rng) for _ in range(100)}
    assert chosen == {Route("m0"), Route("m1"), Route("m2")}


def test_without_a_hard_limit_nothing_queues() -> None:
    assert decide(Candidate("m1", "ams", STARTED, 9999), hard=None) == Route("m1")


HOME, AWAY, FULL = (
    Candidate("home", "ams", STARTED, 0),
    Candidate("away", "nrt", STARTED, 1),
    Candidate("full", "cdg", STARTED, HARD),
)
ASLEEP_AWAY = Candidate("asleep", "syd", STOPPED, 0)
NRT, CDG, SYD, LAX = (frozenset({region}) for region in ("nrt", "cdg", "syd", "lax"))


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (Wish(regions=(NRT,)), Route("away")),
        (Wish(regions=(LAX, NRT)), Route("away")),
        (Wish(regions=(LAX | NRT,)), Route("away")),
        (Wish(regions=(SYD,)), Wake("asleep")),
        (Wish(regions=(CDG,)), Route("home")),
        (Wish(regions=(LAX,)), Route("home")),
        (Wish(regions=(CDG,), regions_only=True), Queue()),
        (Wish(regions=(CDG, LAX), regions_only=True), Queue()),
        (Wish(regions=(CDG, NRT), regions_only=True), Route("away")),
        (Wish(regions=(LAX,), regions_only=True), Refuse()),
        (Wish(machine_id="away"), Route("away")),
        (Wish(machine_id="asleep"), Wake("asleep")),
        (Wish(machine_id="full"), Route("home")),
        (Wish(machine_id="nobody"), Route("home")),
        (Wish(machine_id="full", regions=(NRT,)), Route("away")),
        (Wish(machine_id="full", machine_only=True), Queue()),
        (Wish(machine_id="nobody", machine_only=True), Refuse()),
        (Wish(machine_id="nobody", machine_only=True, regions=(NRT,)), Refuse()),
        (Wish(shunned="home"), Route("away")),
        (Wish(shunned="home", machine_id="home"), Route("away")),
        (Wish(shunned="away", regions=(NRT,), regions_only=True), Refuse()),
    ],
)
def test_a_wish_is_followed_as_far_as_it_goes(wish: Wish, expected: Decision) -> None:
    assert decide(HOME, AWAY, FULL, ASLEEP_AWAY, wish=wish) == expected


def test_a_forced_machine_that_sleeps_without_autostart_is_refused() -> None:
    wish = Wish(machine_id="asleep", machine_only=True)
    assert decide(HOME, ASLEEP_AWAY, wish=wish, auto_start=False) == Refuse()
