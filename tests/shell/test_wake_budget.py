from __future__ import annotations

from argparse import ArgumentTypeError
from itertools import product

import pytest

from shell.phases import Target, Timed
from shell.wake.budget import Limit, Statistic, breaches_of, read_budget
from shell.wake.outcome import Cycle, Kind, Outcome, Sample
from shell.wake.plan import Plan
from shell.wake.proof import Judgement, Proof, ServerTiming


def outcome(kind: Kind, *totals_ms: float) -> Outcome:
    untold = Judgement(Proof.UNTOLD, "")
    samples = (Sample(kind, Timed("::1", 0, 0, ms, ms), ServerTiming(), untold) for ms in totals_ms)
    return Outcome(Plan(Target("shop")), (Cycle(0.0, tuple(samples)),))


def test_every_kind_and_statistic_can_be_limited_and_the_median_is_meant_without_one() -> None:
    for kind, statistic in product(Kind, Statistic):
        assert read_budget(f"{kind}.{statistic}=12.5") == (Limit(kind, statistic, 12.5),)
    assert read_budget("cold=2000, warm.p90=50") == (
        Limit(Kind.COLD, Statistic.MEDIAN, 2000),
        Limit(Kind.WARM, Statistic.P90, 50),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected cold|resumed|warm|kept"),
        ("cold", "expected milliseconds in cold=MS, got ''"),
        ("hot=1", "got 'hot'"),
        ("Cold=1", "got 'Cold'"),
        ("cold.p99=1", "got 'cold.p99'"),
        ("cold.=1", "got 'cold.'"),
        ("cold=1,", "got ''"),
        ("cold=-1", "got '-1'"),
        ("cold=1s", "got '1s'"),
        ("cold=nan", "got 'nan'"),
        ("cold=1e3", "got '1e3'"),
        ("cold=1,cold.median=2", "expected one limit for cold.median, got two"),
    ],
)
def test_a_budget_that_cannot_be_understood_says_what_was_expected(text: str, words: str) -> None:
    with pytest.raises(ArgumentTypeError) as caught:
        read_budget(text)
    assert words in str(caught.value)


@pytest.mark.parametrize(("limit", "over"), [("30", False), ("29.9", True), ("31", False), ("0", True)])
def test_a_time_equal_to_its_limit_is_within_it(limit: str, over: bool) -> None:
    found = breaches_of(read_budget(f"warm={limit}"), outcome(Kind.WARM, 10, 30, 90))
    assert [breach.measured_ms for breach in found] == ([30] if over else [])


def test_each_statistic_is_measured_against_its_own_limit() -> None:
    measured = outcome(Kind.COLD, *range(1, 21))
    found = breaches_of(read_budget("cold.min=0,cold.median=0,cold.p90=0,cold.max=0"), measured)
    assert [breach.measured_ms for breach in found] == [1, 10.5, 18, 20]
    assert str(found[2]) == "over budget: cold p90 is 18.0 ms, more than 0 ms"


def test_a_limit_on_what_was_not_measured_is_a_breach() -> None:
    (breach,) = breaches_of(read_budget("resumed=500"), outcome(Kind.COLD, 1))
    assert str(breach) == "over budget: resumed median may be 500 ms, but no such request was measured"
