"""A Machine's life as the log has it."""

from __future__ import annotations

import pytest

from lab.states import Event, IllegalMoveError, MachineState
from tests.lab.soak.life import Life, parse

SERVING = 'app[m1] ams [info] {"event": "serving", "boot_ms": 5}'
START = ("runner[m1] ams [info] Starting machine", "runner[m1] ams [info] machine started in 5ms")
STOP = (
    "app[m1] ams [info] Sending signal SIGINT to main child process",
    "app[m1] ams [info] Main child exited with code: 0",
)
SUSPEND = ("runner[m1] ams [info] Suspending machine", "runner[m1] ams [info] Machine suspended")


def life_of(*lines: str) -> Life:
    """Live through the lines, one a second from second 1 on."""
    life = Life()
    for second, line in enumerate(lines, start=1):
        entry = parse(f"1970-01-01T00:00:{second:02d}.000Z {line}")
        assert entry is not None, line
        assert entry.machine_id == "m1"
        life.hear(entry)
    return life


def test_a_machine_serves_from_its_app_s_word_until_its_stop() -> None:
    life = life_of(*START, SERVING, *STOP)
    assert [move.state for move in life.moves] == ["created", "starting", "started", "started", "stopping", "stopped"]
    assert life.served_throughout(3.1, 3.9)
    assert not life.served_throughout(2.9, 3.9), "its app had not begun"
    assert not life.served_throughout(3.1, 4), "it was told to stop"
    assert life.slept_throughout(5.1, 99)
    assert not life.slept_throughout(4.9, 99), "it was stopping"
    assert life.started_throughout(2, 3.5)
    assert life.first_exit(since=1) == 5
    assert life.first_exit(since=6) is None


def test_a_machine_serves_at_once_after_a_resume_if_it_did_before() -> None:
    assert life_of(*START, SERVING, *SUSPEND, *START).served_throughout(7, 8)
    assert not life_of(*START, *SUSPEND, *START).served_throughout(6, 8)


def test_the_end_of_a_suspended_machine_needs_no_line_before_it() -> None:
    life = life_of(*START, SERVING, *SUSPEND, "app[m1] ams [info] Main child exited with code: 137")
    assert life.now.state is MachineState.STOPPED
    assert (life.now.event, life.now.status) == (Event.EXIT, 137)


def test_a_move_that_the_table_has_not_is_an_error() -> None:
    with pytest.raises(IllegalMoveError):
        life_of(*START, *START)


@pytest.mark.parametrize("line", ["", "The lab is up", "Traceback (most recent call last):", "x y z"])
def test_what_is_no_log_line_is_none(line: str) -> None:
    assert parse(line) is None


def test_what_an_app_prints_is_no_move_even_when_it_looks_like_one() -> None:
    entry = parse('1970-01-01T00:00:01.000Z app[m1] ams [info] {"event": "x", "said": "Starting machine"}')
    assert entry is not None
    assert Life().hear(entry) is None
