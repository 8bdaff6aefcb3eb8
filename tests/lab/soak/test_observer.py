"""The observer lets the good pass and sees every kind of harm: each rule once kept and once broken."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.soak.excuses import EXCUSES, Cause, allowed
from tests.lab.soak.observer import Observer
from tests.lab.soak.results import Named, Outcome, Result, Traffic, Way, read, written
from tests.lab.soak.schedule import Fault
from tests.lab.soak.test_life import SERVING, START, STOP, SUSPEND

if TYPE_CHECKING:
    from collections.abc import Sequence

ADDRESS = "fdaa::2"
BEGAN = time.mktime((2026, 1, 1, 0, 0, 0, 0, 0, 0)) - time.timezone
UP = (*START, SERVING)


def observer_of(*lines: str) -> Observer:
    """Return one that heard those lines, one a second from second 1 on; a Machine `m1`."""
    observer = Observer({ADDRESS: "m1"})
    assert hear(observer, lines) == []
    return observer


def hear(observer: Observer, lines: Sequence[str], since: int = 1) -> list[str]:
    return [
        violation.what
        for second, line in enumerate(lines, start=since)
        for violation in observer.hear(f"2026-01-01T00:00:{second:02d}.000Z {line}")
    ]


def result(began: float, ended: float, outcome: Outcome = Outcome.OK, **values: Any) -> Result:
    given: dict[str, Any] = {
        "way": Way.FLYCAST, "traffic": Traffic.NEW, "worker": "w", "number": 0,
        "at": ADDRESS, "machine_id": "m1", "boot": "1-a",
    } | values  # fmt: skip
    return Result(began=BEGAN + began, ended=BEGAN + ended, outcome=outcome, **given)


def judged(observer: Observer, *seen: Result | Named) -> list[str]:
    told = [violation.what for each in seen for violation in observer.take(each)]
    return told + [violation.what for violation in observer.judge(BEGAN + 1000)]


def test_an_answer_of_a_machine_that_is_up_is_fine() -> None:
    assert judged(observer_of(*UP), result(5, 6)) == []


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.OK])
@pytest.mark.parametrize("way", Way)
def test_with_nothing_the_matter_every_error_is_a_violation(way: Way, outcome: Outcome) -> None:
    (told,) = judged(observer_of(*UP), result(5, 6, outcome, way=way, boot=""))
    assert f"{outcome} after 1.000s at {ADDRESS} (nothing was the matter)" in told


@pytest.mark.parametrize("traffic", Traffic)
@pytest.mark.parametrize("way", Way)
def test_no_cause_whatever_excuses_an_answer_that_is_not_one_s_own(way: Way, traffic: Traffic) -> None:
    assert Outcome.WRONG not in allowed(way, traffic, set(Cause))


def test_every_row_of_excuses_names_errors_only() -> None:
    assert all(Outcome.OK not in outcomes and outcomes for *_, outcomes in EXCUSES)
    assert {cause for _, cause, *_ in EXCUSES} == set(Cause)


def test_a_stop_drops_no_request_over_flycast_and_excuses_one_over_6pn() -> None:
    observer = observer_of(*UP, *STOP)
    (told,) = judged(observer, result(3.9, 4.1, Outcome.CLOSED, boot=""))
    assert "a Machine was told to stop" in told
    assert judged(observer, result(3.9, 4.1, Outcome.CLOSED, boot="", way=Way.SIX_PN, number=1)) == []


def test_an_app_that_is_killed_breaks_the_requests_of_that_moment_only() -> None:
    observer = observer_of(*UP)
    observer.begin(Fault.KILL, 0, "m1", BEGAN + 3.5).ended = BEGAN + 3.9
    assert hear(observer, ["app[m1] ams [info] Main child exited with code: 137"], since=4) == []
    assert judged(observer, result(3.8, 4.1, Outcome.BAD_GATEWAY, boot="")) == []
    assert len(judged(observer, result(8, 8.1, Outcome.BAD_GATEWAY, boot="", number=1))) == 1


def test_a_kill_just_before_a_suspension_is_told_of_only_after_the_resume() -> None:
    observer = observer_of(*UP, *SUSPEND)
    observer.begin(Fault.KILL, 0, "m1", BEGAN + 4.1).ended = BEGAN + 4.5
    assert hear(observer, [*START, "app[m1] ams [info] Main child exited with code: 137"], since=20) == []
    again = [*START, "app[m1] ams [info] Main child exited with code: 137"]
    assert hear(observer, again, since=30) == ["Machine m1 ended with 137, and nothing ended it"]


def test_an_end_that_nothing_caused_is_a_violation() -> None:
    told = hear(observer_of(*UP), ["app[m1] ams [info] Main child exited with code: 1"], since=4)
    assert told == ["Machine m1 ended with 1, and nothing ended it"]


def test_a_machine_that_sleeps_does_not_answer() -> None:
    observer = observer_of(*UP, *STOP)
    (told,) = judged(observer, result(6, 7))
    assert told.startswith("a Machine that sleeps has answered")


def test_a_run_that_has_ended_does_not_answer() -> None:
    observer = observer_of(*UP, *STOP, *START, SERVING)
    assert judged(observer, result(3.2, 3.5), result(9, 9.5, boot="2-b", number=1)) == []
    (told,) = judged(observer, result(9.6, 9.9, number=2))
    assert told.startswith("a run that ended at")


def test_a_run_goes_on_after_a_suspension() -> None:
    observer = observer_of(*UP, *SUSPEND, *START)
    assert judged(observer, result(3.2, 3.5), result(8, 9, number=1)) == []


def test_names_may_lag_a_second_and_no_more() -> None:
    observer = observer_of(*UP, *STOP)
    assert judged(observer, Named(BEGAN + 5.5, BEGAN + 5.6, (ADDRESS,))) == []
    (told,) = judged(observer, Named(BEGAN + 7, BEGAN + 7.1, ("m1",)))
    assert told.startswith("names have Machine m1, which sleeps")
    observer.begin(Fault.STALE_DNS, 3, "", BEGAN + 4)
    assert judged(observer, Named(BEGAN + 7, BEGAN + 7.1, ("m1",))) == []
    assert len(judged(observer, Named(BEGAN + 9.5, BEGAN + 9.6, ("m1",)))) == 1


def test_names_have_every_started_machine() -> None:
    assert judged(observer_of(*UP), Named(BEGAN + 2.5, BEGAN + 2.6, ())) == []
    (told,) = judged(observer_of(*UP), Named(BEGAN + 6, BEGAN + 6.1, ()))
    assert told.startswith("names do not have Machine m1")


def test_a_post_is_carried_out_once() -> None:
    line = 'app[m1] ams [info] {"event": "request", "method": "POST", "path": "/app/echo/big-0.7"}'
    observer = observer_of(*UP, line)
    assert hear(observer, [line], since=9) == ["POST big-0.7 was carried out twice"]


def test_no_request_goes_without_an_answer_and_none_has_two() -> None:
    observer = observer_of(*UP)
    assert judged(observer, result(5, 6, number=1)) == ["expected request 0 of w, got 1"]
    assert judged(observer, result(6, 7, number=1)) == ["expected request 2 of w, got 1"]


@pytest.mark.parametrize(
    "line",
    [
        "Traceback (most recent call last):",
        "2026-01-01T00:00:01.000Z proxy ams [error] connection failed: KeyError('x')",
        "Task exception was never retrieved",
    ],
)
def test_a_bug_in_the_log_is_a_violation(line: str) -> None:
    assert [violation.what for violation in Observer({}).hear(line)] == [f"the log has: {line}"]


def test_a_python_that_is_stopped_before_it_begins_may_say_so_and_one_that_served_may_not() -> None:
    traceback = "app[m1] ams [info] Traceback (most recent call last):"
    assert hear(observer_of(*START, STOP[0]), [traceback], since=4) == []
    assert len(hear(observer_of(*START), [traceback], since=4)) == 1
    assert len(hear(observer_of(*UP, STOP[0]), [traceback], since=5)) == 1


def test_a_move_off_the_table_is_a_violation() -> None:
    (told,) = hear(observer_of(*UP), ["runner[m1] ams [info] Machine suspended"], since=4)
    assert "a started Machine cannot frozen" in told


def test_what_was_seen_is_read_as_it_was_written() -> None:
    for seen in (result(1, 2, Outcome.RESET, detail="x\n'y'"), Named(1.5, 2, ("a", "b"))):
        assert read(written(seen)) == seen
