from __future__ import annotations

from lab.dns_faults import Past


def test_a_past_that_is_off_looks_at_no_change_and_one_that_stays_on_keeps_what_it_saw() -> None:
    now, looks = [0.0], [0]

    def look() -> int:
        looks[0] += 1
        return looks[0]

    past = Past(look, 0, lambda: now[0], lambda *_, **__: None)
    before = looks[0]
    for _ in range(100):  # Machines change
        past.note()
    assert looks[0] == before
    past.seconds = 5
    first = past()
    past.note()
    past.seconds = 5  # another fault was switched
    assert past() == first
