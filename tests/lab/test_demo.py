"""What the demo shows of its lab's log."""

from __future__ import annotations

from lab.demo import last_sleep_and_wake

SLEEP = ["App a has excess capacity, autostopping machine 1", "Sending signal SIGINT to main child process"]
WAKE = ["Starting machine", "machine became reachable in 9ms"]
OWN = '[1] ams [info] {"event": "serving"}'


def test_the_last_sleep_that_a_wake_followed_is_shown_without_the_app_s_own_lines() -> None:
    earlier = ["App a has excess capacity, earlier", "Starting machine, earlier", "machine became reachable, earlier"]
    assert last_sleep_and_wake([*earlier, *SLEEP, OWN, *WAKE]) == [*SLEEP, *WAKE]


def test_a_machine_that_sleeps_again_before_the_log_is_shown_hides_nothing() -> None:
    assert last_sleep_and_wake([*SLEEP, *WAKE, OWN, *SLEEP]) == [*SLEEP, *WAKE]
