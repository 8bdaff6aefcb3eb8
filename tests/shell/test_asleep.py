from __future__ import annotations

import io

import pytest

from shell.answers import Answer, ListedMachine, Outcome, RecordType
from shell.asleep import SEEN_UP_WITHIN_SECONDS, AppView, LookFailedError, Watch, look_at
from shell.errors import NotWellError
from shell.progress import Progress
from tests.shell.terminal import Terminal

A1, B2 = ListedMachine("a1", "ams"), ListedMachine("b2", "cdg")
UP, HALF, DOWN = AppView((A1, B2), (A1, B2)), AppView((A1, B2), (B2,)), AppView((A1, B2), ())
FAILED = LookFailedError("no nameserver answers")


class Time:
    """A clock that only a pause moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def clock(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def watch(*views: AppView | NotWellError, time: Time | None = None) -> Watch:
    """Show one view a look; the last one for ever."""
    left, time = list(views), time or Time()

    def look() -> AppView:
        view = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(view, NotWellError):
            raise view
        return view

    return Watch(look, time.clock, time.pause)


def wait(watch: Watch, wait_seconds: float, stream: io.StringIO | None = None) -> float:
    return watch.until_asleep(wait_seconds, Progress(stream or io.StringIO(), "xterm")).waited_seconds


def test_who_sleeps_already_is_not_waited_for() -> None:
    stream = io.StringIO()
    assert wait(watch(DOWN), 0, stream) == 0
    assert stream.getvalue() == ""


def test_the_wait_ends_when_the_last_machine_sleeps() -> None:
    assert wait(watch(UP, UP, HALF, DOWN), 60) == pytest.approx(1.5)


def test_the_wait_says_when_a_machine_was_last_seen_up_and_calls_for_help_until_none_is() -> None:
    seen: list[AppView] = []

    def meanwhile(view: AppView) -> str:
        seen.append(view)
        return "asked b2 to stop"

    stream = Terminal()
    waited = watch(UP, HALF, DOWN).until_asleep(60, Progress(stream, "xterm"), meanwhile)
    assert (waited.up_s, seen) == (1000.5, [UP, HALF])
    assert "b2 cdg - asked b2" in stream.getvalue()
    assert watch(DOWN).until_asleep(60, Progress(stream, "xterm"), meanwhile).up_s is None
    assert len(seen) == 2, "who sleeps is left alone"


def test_the_wait_is_bounded_and_says_who_is_still_up() -> None:
    with pytest.raises(NotWellError) as caught:
        wait(watch(UP, HALF), 10)
    assert "not asleep after 10 s (--wait): 1 of 2 Machines up: b2 cdg; " in str(caught.value)


def test_a_wait_of_nothing_fails_at_once_when_a_machine_is_up() -> None:
    with pytest.raises(NotWellError, match="not asleep after 0 s"):
        wait(watch(UP), 0)


def test_two_failed_looks_are_forgiven_and_the_third_is_not() -> None:
    assert wait(watch(UP, FAILED, FAILED, UP, FAILED, FAILED, DOWN), 60) == pytest.approx(3.0)
    with pytest.raises(LookFailedError):
        wait(watch(UP, FAILED), 60)
    with pytest.raises(LookFailedError):
        wait(watch(FAILED, DOWN), 60)


def test_a_machine_seen_up_ends_that_wait_at_once_and_lagging_dns_is_waited_for() -> None:
    for views, seconds in (((UP,), 0.0), ((HALF,), 0.0), ((DOWN, DOWN, UP), 1.0), ((DOWN,), SEEN_UP_WITHIN_SECONDS)):
        time = Time()
        watch(*views, time=time).until_seen_up()
        assert time.now - 1000.0 == pytest.approx(seconds), views


def test_a_terminal_gets_one_line_rewritten_and_removed() -> None:
    stream = Terminal()
    wait(watch(UP, HALF, DOWN), 60, stream)
    text = stream.getvalue()
    assert "\n" not in text
    assert text.endswith("\r\x1b[2K")
    assert "waiting for sleep: 0 of at most 60 s, 2 of 2 Machines up: a1 ams, b2 cdg" in text
    assert "1 of 2 Machines up: b2 cdg" in text


def test_the_line_is_removed_when_the_wait_is_interrupted() -> None:
    stream = Terminal()

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wait(Watch(lambda: UP, Time().clock, interrupted), 60, stream)
    assert stream.getvalue().endswith("\r\x1b[2K")


def test_elsewhere_there_is_one_short_line_when_the_wait_begins_and_one_when_it_ends() -> None:
    stream = io.StringIO()
    wait(watch(*[UP] * 150, HALF, DOWN), 600, stream)
    assert stream.getvalue() == (
        "waiting for sleep: 0 of at most 600 s, 2 of 2 Machines up: a1 ams, b2 cdg\nasleep after 75.5 s\n"
    )


@pytest.mark.parametrize("term", ["", "dumb"])
def test_a_dumb_terminal_gets_whole_lines(term: str) -> None:
    stream = Terminal()
    watch(UP, DOWN).until_asleep(60, Progress(stream, term))
    assert stream.getvalue().count("\n") == 2
    assert "\x1b" not in stream.getvalue()


def test_a_closed_stderr_does_not_end_the_wait() -> None:
    class Closed(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    assert wait(watch(UP, DOWN), 60, Closed()) == pytest.approx(0.5)


def test_hostile_machine_ids_do_not_reach_the_terminal_raw() -> None:
    evil = ListedMachine("\x1b]0;x\x07", "")
    stream = Terminal()
    wait(watch(AppView((evil,), (evil,)), DOWN), 60, stream)
    assert "\x1b]" not in stream.getvalue()


def look(all_vms: Outcome, *deployed: str, vms: Outcome = Outcome.NODATA) -> AppView:
    """Look at an app that a nameserver describes like this."""

    def ask(name: str, record_type: RecordType) -> Answer:
        outcome, records = (all_vms, deployed) if name == "all.vms.shop.internal" else (vms, ())
        return Answer(name, record_type, outcome, records, server="fdaa::3")

    return look_at("shop", ask)


@pytest.mark.parametrize("vms", [Outcome.NXDOMAIN, Outcome.NODATA])
def test_no_started_machine_is_sleep_however_the_nameserver_says_it(vms: Outcome) -> None:
    assert look(Outcome.OK, "a1 ams,b2 cdg", vms=vms) == DOWN


def test_an_app_that_does_not_exist_or_has_no_machines_is_said_so() -> None:
    with pytest.raises(NotWellError, match="no app shop in this private network"):
        look(Outcome.NXDOMAIN)
    with pytest.raises(NotWellError, match="app shop has no Machines"):
        look(Outcome.NODATA)
    with pytest.raises(NotWellError, match="app shop has no Machines"):
        look(Outcome.OK, "")


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if not outcome.told])
def test_every_failure_of_the_nameserver_is_said_in_its_words(outcome: Outcome) -> None:
    for all_vms, vms in ((outcome, Outcome.OK), (Outcome.OK, outcome)):
        with pytest.raises(LookFailedError) as caught:
            look(all_vms, "a1 ams", vms=vms)
        assert str(outcome) in str(caught.value)
        assert ("no nameserver answers" in str(caught.value)) is outcome.silent


def test_many_machines_are_counted_and_not_listed() -> None:
    machines = tuple(ListedMachine(f"m{n}", "") for n in range(5))
    assert str(AppView(machines, machines)) == "5 of 5 Machines up: m0, m1, m2 and 2 more"
