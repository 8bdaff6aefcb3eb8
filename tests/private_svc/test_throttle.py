"""Wrong guesses are slowed down, by client."""

from __future__ import annotations

import pytest

from private_svc.web.throttle import ENTRIES_AT_MOST, GUESSES, GUESSES_OF_NETWORK, SECONDS_A_GUESS, Throttle

CLIENT = "fdaa:0:18:a7b:7d:f066:b83b:2"


class Clock:
    """A clock that a test moves."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def guess(throttle: Throttle, client: str, times: int = GUESSES) -> None:
    for _ in range(times):
        throttle.wrong(client)


def test_a_client_may_guess_a_handful_of_times_and_then_has_to_wait() -> None:
    throttle = Throttle(Clock())
    for _ in range(GUESSES):
        assert throttle.wait_seconds(CLIENT) == 0
        throttle.wrong(CLIENT)
    assert throttle.wait_seconds(CLIENT) == SECONDS_A_GUESS


def test_after_the_wait_one_more_guess_is_allowed_and_after_a_long_one_a_handful() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    guess(throttle, CLIENT)
    clock.now_s += SECONDS_A_GUESS
    assert throttle.wait_seconds(CLIENT) == 0
    throttle.wrong(CLIENT)
    assert throttle.wait_seconds(CLIENT) == SECONDS_A_GUESS
    clock.now_s += SECONDS_A_GUESS * GUESSES
    for _ in range(GUESSES):
        assert throttle.wait_seconds(CLIENT) == 0
        throttle.wrong(CLIENT)


@pytest.mark.parametrize(
    ("one", "other", "is_one_network"),
    [
        (CLIENT, "fdaa:0:18:a7b:7d:f066:b83b:ffff", True),  # a Machine has a whole /112
        (CLIENT, "fdaa:0:18:a7b:7d:f066:b83c:2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),  # anybody else a /64
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("203.0.113.7", "203.0.113.8", True),
        ("203.0.113.7", "203.0.114.7", False),
    ],
)
def test_another_address_waits_when_its_whole_network_has_guessed_too_often(
    one: str, other: str, *, is_one_network: bool
) -> None:
    throttle = Throttle(Clock())
    guess(throttle, one, GUESSES_OF_NETWORK - 1)
    assert throttle.wait_seconds(other) == 0
    throttle.wrong(one)
    assert bool(throttle.wait_seconds(other)) is is_one_network


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("203.0.113.7", "::ffff:203.0.113.7", True),
        ("203.0.113.7", "203.0.113.8", False),
        (CLIENT, CLIENT.upper(), True),
        (CLIENT, "fdaa:0:18:a7b:7d:f066:b83b:3", False),
        ("", "", True),
        ("", "127.0.0.1", False),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, *, is_same: bool) -> None:
    throttle = Throttle(Clock())
    guess(throttle, one)
    assert bool(throttle.wait_seconds(other)) is is_same


def test_the_guess_that_was_longest_ago_is_forgotten_first() -> None:
    throttle = Throttle(Clock())
    guess(throttle, "203.0.113.1")
    guess(throttle, "203.0.113.2")
    throttle.wrong("203.0.113.1")  # again, and so later than the other
    for number in range(ENTRIES_AT_MOST // 2 - 1):
        throttle.wrong(f"fdaa:0:18:0:0:0:{number:x}:2")
    assert throttle.wait_seconds("203.0.113.1") > 0
    assert throttle.wait_seconds("203.0.113.2") == 0
