from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from shell.answers import Answer, ListedMachine, Outcome, RecordType
from shell.asleep import AppView, LookFailedError, look_at, names_of, read_view, wait_until_asleep
from shell.errors import NotWellError
from shell.progress import LiveLine, PlainLines, progress_on

if TYPE_CHECKING:
    from collections.abc import Callable

A1, B2 = ListedMachine("a1", "ams"), ListedMachine("b2", "cdg")
UP, HALF, DOWN = AppView((A1, B2), (A1, B2)), AppView((A1, B2), (B2,)), AppView((A1, B2), ())


class Time:
    """A clock that only a pause moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def clock(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def looks(*views: AppView | NotWellError) -> Callable[[], AppView]:
    """Return one view a look; the last one for ever."""
    left = list(views)

    def look() -> AppView:
        view = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(view, NotWellError):
            raise view
        return view

    return look


def wait(look: Callable[[], AppView], wait_seconds: float, stream: io.StringIO) -> float:
    time = Time()
    return wait_until_asleep(
        look,
        wait_seconds=wait_seconds,
        clock=time.clock,
        pause=time.pause,
        progress=progress_on(stream, "xterm"),
    )


def txt(outcome: Outcome, *records: str) -> Answer:
    return Answer("all.vms.shop.internal", RecordType.TXT, outcome, records, server="fdaa::3")


def test_who_sleeps_already_is_not_waited_for() -> None:
    stream = io.StringIO()
    assert wait(looks(DOWN), 0, stream) == 0
    assert stream.getvalue() == ""


def test_the_wait_ends_when_the_last_machine_sleeps() -> None:
    assert wait(looks(UP, UP, HALF, DOWN), 60, io.StringIO()) == pytest.approx(1.5)


def test_the_wait_is_bounded_and_says_who_is_still_up() -> None:
    with pytest.raises(NotWellError) as caught:
        wait(looks(UP, HALF), 10, io.StringIO())
    assert "not asleep after 10 s (--wait): 1 of 2 Machines still up: b2 (cdg)" in str(caught.value)


def test_a_wait_of_nothing_fails_at_once_when_a_machine_is_up() -> None:
    with pytest.raises(NotWellError, match="not asleep after 0 s"):
        wait(looks(UP), 0, io.StringIO())


def test_two_failed_looks_are_forgiven_and_the_third_is_not() -> None:
    failed = LookFailedError("no nameserver answers")
    assert wait(looks(UP, failed, failed, UP, failed, failed, DOWN), 60, io.StringIO()) == pytest.approx(3.0)
    with pytest.raises(LookFailedError):
        wait(looks(UP, failed), 60, io.StringIO())
    with pytest.raises(LookFailedError):
        wait(looks(failed, DOWN), 60, io.StringIO())


def test_a_terminal_gets_one_line_rewritten_and_removed() -> None:
    stream = Terminal()
    wait(looks(UP, HALF, DOWN), 60, stream)
    text = stream.getvalue()
    assert "\n" not in text
    assert text.endswith("\r\x1b[2K")
    assert "waiting for sleep: 0 of at most 60 s, 2 of 2 Machines up: a1 (ams), b2 (cdg)" in text
    assert "1 of 2 Machines up: b2 (cdg)" in text


def test_the_line_is_removed_when_the_wait_is_interrupted() -> None:
    stream = Terminal()

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wait_until_asleep(looks(UP), wait_seconds=60, clock=Time().clock, pause=interrupted, progress=LiveLine(stream))
    assert stream.getvalue().endswith("\r\x1b[2K")


def test_elsewhere_there_is_a_line_a_change_and_two_a_minute() -> None:
    stream = io.StringIO()
    wait(looks(*[UP] * 150, HALF, DOWN), 600, stream)
    lines = stream.getvalue().splitlines()
    assert [line.split(" of ")[0] for line in lines] == [f"waiting for sleep: {n}" for n in (0, 30, 60, 75)]
    assert "leave the app alone" in lines[0]


def test_a_dumb_terminal_gets_plain_lines() -> None:
    assert isinstance(progress_on(Terminal(), "dumb"), PlainLines)
    assert isinstance(progress_on(Terminal(), ""), PlainLines)
    assert isinstance(progress_on(io.StringIO(), "xterm"), PlainLines)


def test_hostile_machine_ids_do_not_reach_the_terminal_raw() -> None:
    evil = ListedMachine("\x1b]0;x\x07", "")
    stream = Terminal()
    wait(looks(AppView((evil,), (evil,)), DOWN), 60, stream)
    assert "\x1b]" not in stream.getvalue()


@pytest.mark.parametrize("vms", [Outcome.NXDOMAIN, Outcome.NODATA])
def test_no_started_machine_is_sleep_however_the_nameserver_says_it(vms: Outcome) -> None:
    assert read_view("shop", txt(Outcome.OK, "a1 ams,b2 cdg"), txt(vms)) == DOWN


def test_an_app_that_does_not_exist_or_has_no_machines_is_said_so() -> None:
    with pytest.raises(NotWellError, match="no app shop in this private network"):
        read_view("shop", txt(Outcome.NXDOMAIN), txt(Outcome.NXDOMAIN))
    for empty in (txt(Outcome.NODATA), txt(Outcome.OK, "")):
        with pytest.raises(NotWellError, match="app shop has no Machines"):
            read_view("shop", empty, txt(Outcome.NODATA))


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if not outcome.told])
def test_every_failure_of_the_nameserver_is_said_in_its_words(outcome: Outcome) -> None:
    with pytest.raises(LookFailedError) as caught:
        look_at("shop", lambda name, kind: Answer(name, kind, outcome, server="fdaa::3"))
    assert str(outcome) in str(caught.value)
    assert ("no nameserver answers" in str(caught.value)) is outcome.silent


def test_many_machines_are_counted_and_not_listed() -> None:
    machines = tuple(ListedMachine(f"m{n}", "") for n in range(5))
    assert names_of(machines) == "m0, m1, m2 and 2 more"
