"""The short form of `python -m tests.e2e.cold_starts`."""

from __future__ import annotations

import pytest

from tests.e2e.cold_starts import measure

pytestmark = [pytest.mark.lab, pytest.mark.long]


@pytest.mark.parametrize("how", ["http", "tcp"])
def test_cold_starts_and_races_fail_no_request_and_leave_nothing_behind(how: str) -> None:
    result = measure(4, how, warm_up_cycles=2)
    assert not result.faults, result
