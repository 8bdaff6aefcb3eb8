from __future__ import annotations

from itertools import product

import pytest

from private_svc.awake import STEP_SECONDS, Awake

STEADY_STEPS_S = [0.0, 0.001, 1.0, STEP_SECONDS, STEP_SECONDS + 0.001, 60.0, 86400.0 * 30]
WALL_STEPS_S = [-86400.0 * 365, -60.0, -STEP_SECONDS - 1, -1.0, *STEADY_STEPS_S]


class Clocks:
    """Two clocks that stand still until a test moves them."""

    def __init__(self) -> None:
        self.monotonic_s = 1000.0
        self.wall_s = 1.7e9
        self.awake = Awake(lambda: self.monotonic_s, lambda: self.wall_s)
        self.awake.read_clocks()

    def step(self, monotonic_s: float, wall_s: float) -> bool:
        """Move both; return what a look makes of it."""
        self.monotonic_s += monotonic_s
        self.wall_s += wall_s
        return self.awake.read_clocks()


@pytest.mark.parametrize(("monotonic_s", "wall_s"), [*product(STEADY_STEPS_S, WALL_STEPS_S)])
def test_a_large_step_of_either_clock_forward_is_a_resume_and_nothing_else_is(
    monotonic_s: float, wall_s: float
) -> None:
    clocks = Clocks()
    expected = max(monotonic_s, wall_s) > STEP_SECONDS
    assert clocks.step(monotonic_s, wall_s) is expected
    assert clocks.awake.resumes == expected
    assert clocks.awake.resumed_s == (clocks.monotonic_s if expected else None)
    assert clocks.awake.suspended_seconds == pytest.approx(max(monotonic_s, wall_s) if expected else 0.0, abs=1e-3)


@pytest.mark.parametrize(("monotonic_s", "wall_s"), [*product(STEADY_STEPS_S, WALL_STEPS_S)])
def test_time_awake_never_runs_backwards_and_leaves_out_what_was_slept_through(
    monotonic_s: float, wall_s: float
) -> None:
    clocks = Clocks()
    clocks.step(1.0, 1.0)
    before_s = clocks.awake.awake_seconds(1000.0)
    resumed = clocks.step(monotonic_s, wall_s)
    passed_s = clocks.awake.awake_seconds(1000.0) - before_s
    assert passed_s == pytest.approx(0.0 if resumed and monotonic_s > STEP_SECONDS else monotonic_s)


def test_a_step_counts_once_whoever_looks_first() -> None:
    clocks = Clocks()
    clocks.monotonic_s += 600
    assert clocks.awake.resumed_s == clocks.monotonic_s, "an answer looks before it tells"
    clocks.step(1, 1)
    assert clocks.awake.resumed_s == clocks.monotonic_s - 1
    assert (clocks.awake.resumes, clocks.awake.suspended_seconds) == (1, 600)


def test_a_wall_clock_that_lags_and_is_then_set_right_is_one_resume() -> None:
    clocks = Clocks()
    assert not clocks.step(1.0, 0.2)
    assert clocks.step(1.0, 3600.0)
    assert not clocks.step(1.0, 1.0)
    assert clocks.awake.resumes == 1


def test_a_long_boot_is_not_taken_for_a_suspension() -> None:
    now_s = 0.0
    awake = Awake(lambda: now_s, lambda: now_s)
    now_s += 30.0  # importing
    assert not awake.read_clocks()
    assert awake.resumed_s is None


def test_many_small_steps_are_no_resume() -> None:
    clocks = Clocks()
    assert not any(clocks.step(STEP_SECONDS, STEP_SECONDS) for _ in range(1000))
    assert clocks.awake.awake_seconds(1000.0) == pytest.approx(1000 * STEP_SECONDS)


def test_a_wall_clock_that_makes_up_for_what_it_lagged_after_a_resume_is_no_second_one() -> None:
    clocks = Clocks()
    assert clocks.step(monotonic_s=7.6, wall_s=-22.4), "stopped, while the kernel went on"
    assert not clocks.step(monotonic_s=3.0, wall_s=33.0), "set right"
    assert (clocks.awake.resumes, clocks.awake.suspended_seconds) == (1, 7.6)
