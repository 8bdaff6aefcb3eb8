from __future__ import annotations

from shell.spread import Spread, spread_of


def test_the_spread_of_times() -> None:
    assert spread_of([3.0, 1.0, 2.0]) == Spread(3, 1.0, 2.0, 3.0)
    assert spread_of([4.0, 1.0]) == Spread(2, 1.0, 2.5, 4.0)
    assert spread_of([7.0]) == Spread(1, 7.0, 7.0, 7.0)
    assert spread_of([]) is None
