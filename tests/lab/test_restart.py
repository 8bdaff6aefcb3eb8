from __future__ import annotations

from itertools import product

import pytest

from lab.restart import WINDOW_SECONDS, Again, Rest, RestartKind, RestartPolicy, after_exit

NOW = 1000.0


@pytest.mark.parametrize(("kind", "status", "recent"), list(product(RestartKind, (0, 1, 137), range(4))), ids=str)
def test_every_policy_and_status_is_decided_by_the_table(kind: RestartKind, status: int, recent: int) -> None:
    decision = after_exit(RestartPolicy(kind, retries=2), status, [NOW - 1] * recent, NOW)
    restarts = kind is RestartKind.ALWAYS or (kind is RestartKind.ON_FAILURE and status != 0 and recent < 2)
    assert isinstance(decision, Again if restarts else Rest), decision


def test_the_reason_to_rest_is_told_in_fly_s_words() -> None:
    def reason(policy: RestartPolicy, status: int, restarts: int = 0) -> str:
        decision = after_exit(policy, status, [NOW] * restarts, NOW)
        assert isinstance(decision, Rest)
        return decision.reason

    assert reason(RestartPolicy(), 0) == "machine exited with exit code 0, not restarting"
    assert reason(RestartPolicy(), 1, 10) == "machine has reached its max restart count of 10"
    assert reason(RestartPolicy(RestartKind.NEVER), 1).endswith("'never', not restarting")


def test_pauses_double_up_to_half_a_minute() -> None:
    policy = RestartPolicy(RestartKind.ALWAYS)
    pauses = [after_exit(policy, 1, [NOW] * count, NOW) for count in (0, 1, 2, 5, 6, 7, 5000)]
    assert pauses == [Again(seconds) for seconds in (0.5, 1, 2, 16, 30, 30, 30)]


def test_restarts_of_more_than_five_minutes_ago_do_not_count() -> None:
    old = [NOW - WINDOW_SECONDS] * 50
    assert after_exit(RestartPolicy(), 1, old, NOW) == Again(0.5)
    assert isinstance(after_exit(RestartPolicy(), 1, [NOW - WINDOW_SECONDS + 1] * 10, NOW), Rest)
