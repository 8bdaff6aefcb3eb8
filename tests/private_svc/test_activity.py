"""The account of who is here and who waits for work."""

from __future__ import annotations

from itertools import product

import pytest

from private_svc.activity import Activity, Visit
from private_svc.ingress import Caller, Ingress

CALLER = Caller(Ingress.SIX_PN, "fdaa:0:18::9")
STEPS = ("work", "look", "done", "leave")


def take(step: str, activity: Activity, visit: Visit) -> None:
    if step == "done":
        activity.done(visit)
    elif step == "leave":
        activity.leave(visit)
    else:
        activity.begin(visit, step, is_work=step == "work")


async def test_a_connection_that_asks_nothing_is_no_work() -> None:
    activity = Activity()
    visit = activity.arrive("admin", CALLER)
    assert list(activity.visits) == [visit]
    assert activity.quiet.is_set()
    assert activity.working == 0


@pytest.mark.parametrize("steps", list(product(STEPS, repeat=3)), ids="-".join)
async def test_work_is_counted_once_whatever_the_order_of_events(steps: tuple[str, ...]) -> None:
    activity = Activity()
    visit, other = activity.arrive("admin", CALLER), activity.arrive("hello", CALLER)
    activity.begin(other, "hello", is_work=True)
    for step in steps:
        take(step, activity, visit)
        assert activity.working == 1 + visit.is_work
        assert not activity.quiet.is_set()
    activity.leave(visit)
    activity.leave(other)
    assert activity.working == 0
    assert activity.quiet.is_set()
    assert not activity.visits


async def test_the_last_work_ends_the_idle_time_and_a_look_does_not() -> None:
    activity = Activity()
    visit = activity.arrive("admin", CALLER)
    before_s = activity.last_work_s
    activity.begin(visit, "look", is_work=False)
    activity.done(visit)
    assert activity.last_work_s == before_s
    activity.begin(visit, "work", is_work=True)
    activity.leave(visit)
    assert activity.last_work_s > before_s
