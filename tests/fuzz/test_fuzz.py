"""Every reader of bytes from outside: what once broke it, and some thousands of inputs that are nearly right."""

from __future__ import annotations

import pytest

from tests.fuzz.campaign import failures_of, run
from tests.fuzz.targets import TARGETS

SEED = 8
MANY = 40


@pytest.mark.parametrize("name", TARGETS)
def test_every_kept_input_keeps_its_promises(name: str) -> None:
    broken = failures_of(TARGETS[name], TARGETS[name].corpus().values())
    assert not broken, "\n".join(map(str, broken))


@pytest.mark.parametrize("name", TARGETS)
def test_a_run_from_a_fixed_seed_breaks_nothing(name: str) -> None:
    done = run(TARGETS[name], SEED, executions=TARGETS[name].executions)
    assert done.failure is None, f"{done.failure}"
    assert done.outcomes > 1, "whatever it was given, the reader did the same: nothing was tested"


@pytest.mark.long
@pytest.mark.parametrize("name", TARGETS)
def test_a_longer_run_from_another_seed_breaks_nothing(name: str) -> None:
    done = run(TARGETS[name], SEED + 1, executions=MANY * TARGETS[name].executions)
    assert done.failure is None, f"{done.failure}"
