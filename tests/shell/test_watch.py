from __future__ import annotations

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import dns.rcode
import pytest

from shell.answers import ListedMachine
from shell.asleep import AppView, LookFailedError
from shell.cli import main
from shell.errors import NotWellError
from shell.watch.changes import Change, Moment, OutageBegan, OutageEnded, Row, State, compare, first_look
from shell.watch.lines import Lines, record, sentence, span
from shell.watch.live import live_lines
from shell.watch.run import Watcher
from tests.shell.scripted_dns import code, empty_texts, records
from tests.shell.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from shell.watch.changes import Event
    from tests.shell.scripted_dns import ScriptedDns

DEADLINE_SECONDS = 30.0
ROOT = Path(__file__).parents[2]
A1, B2 = ListedMachine("a1", "ams"), ListedMachine("b2", "cdg")
UP, HALF, DOWN, GONE = AppView((A1, B2), (A1, B2)), AppView((A1, B2), (B2,)), AppView((A1, B2), ()), AppView((), ())
FAILED = LookFailedError("no nameserver answers")
NO_APP = NotWellError("no app shop")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
INTERRUPTIBLE = (  # the tests may run in the background, where Ctrl-C is ignored
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import shell.__main__ as m; m.entry()"
)
MACHINE_ID = "3d8d9014b32d89"


def moment(seconds: float) -> Moment:
    return Moment(NOON + timedelta(seconds=seconds), seconds)


def view_of(state: State) -> AppView:
    return {State.STARTED: AppView((A1,), (A1,)), State.ASLEEP: AppView((A1,), ()), State.ABSENT: GONE}[state]


@pytest.mark.parametrize(("before", "after"), list(product(State, State)))
def test_every_move_between_two_states_is_told_once_and_with_its_duration(before: State, after: State) -> None:
    rows, _ = compare({}, view_of(before), moment(10))
    later, changes = compare(rows, view_of(after), moment(14))
    again, no_changes = compare(later, view_of(after), moment(20))
    if before is after:
        assert changes == ()
    else:
        lasted = None if before is State.ABSENT else 4
        assert changes == (Change(moment(14), A1, before, after, lasted),)
    assert no_changes == ()
    assert (
        again
        == later
        == (
            {}
            if after is State.ABSENT
            else {"a1": Row(A1, after, moment(10 if before is after else 14), at_least=False)}
        )
    )


@pytest.mark.parametrize("state", [State.STARTED, State.ASLEEP])
def test_what_was_so_at_the_first_look_has_lasted_at_least_since_then(state: State) -> None:
    rows, seen = first_look(view_of(state), moment(10))
    assert seen == (Change(moment(10), A1, None, state),)
    _, (change,) = compare(rows, GONE, moment(12))
    assert change == Change(moment(12), A1, state, State.ABSENT, 2, at_least=True)


def test_a_machine_that_only_the_list_of_started_ones_has_is_started() -> None:
    rows, _ = compare({}, AppView((), (A1,)), moment(0))
    assert rows["a1"].state is State.STARTED


class History:
    """Time that only a pause moves, one view a look and the last for ever, and what was told and shown."""

    def __init__(self, *views: AppView | NotWellError, look_seconds: float = 0.0) -> None:
        self.seconds = 0.0
        self.views = list(views)
        self.look_seconds = look_seconds
        self.looks: list[float] = []
        self.told: list[Event] = []
        self.shown: list[float] = []

    def look(self) -> AppView:
        self.looks.append(self.seconds)
        self.seconds += self.look_seconds
        view = self.views.pop(0) if len(self.views) > 1 else self.views[0]
        if isinstance(view, NotWellError):
            raise view
        return view

    def pause(self, seconds: float) -> None:
        assert 0 < seconds <= 1, "a live line must not stand still longer"
        self.seconds += seconds

    def tell(self, event: Event) -> None:
        self.told.append(event)

    def show(self, _rows: Sequence[Row], now: Moment, _outage: OutageBegan | None) -> None:
        self.shown.append(now.seconds)

    def watch(self, for_seconds: float, interval_seconds: float = 1.0) -> bool:
        def now() -> datetime:
            return moment(self.seconds).wall

        return Watcher(self.look, lambda: self.seconds, now, self.pause, self, interval_seconds).run(for_seconds)

    def changes(self) -> list[tuple[float, str, State | None, State]]:
        changes = [event for event in self.told if isinstance(event, Change)]
        return [(change.moment.seconds, change.machine.machine_id, change.before, change.after) for change in changes]


def test_the_first_look_tells_every_machine_and_later_ones_what_changed() -> None:
    history = History(UP, HALF, HALF, DOWN, UP)
    assert history.watch(10)
    assert history.changes() == [
        (0, "a1", None, State.STARTED),
        (0, "b2", None, State.STARTED),
        (1, "a1", State.STARTED, State.ASLEEP),
        (3, "b2", State.STARTED, State.ASLEEP),
        (4, "a1", State.ASLEEP, State.STARTED),
        (4, "b2", State.ASLEEP, State.STARTED),
    ]


def test_new_and_destroyed_machines_and_an_app_that_vanishes_are_changes() -> None:
    history = History(AppView((A1,), (A1,)), UP, AppView((B2,), (B2,)), NO_APP)
    assert history.watch(10)
    assert history.changes() == [
        (0, "a1", None, State.STARTED),
        (1, "b2", State.ABSENT, State.STARTED),
        (2, "a1", State.STARTED, State.ABSENT),
        (3, "b2", State.STARTED, State.ABSENT),
    ]


def test_an_outage_is_told_once_when_it_begins_and_once_when_it_ends() -> None:
    history = History(UP, FAILED, FAILED, FAILED, DOWN)
    assert history.watch(6)
    _, _, began, ended, *changes = history.told
    assert began == OutageBegan(moment(1), "no nameserver answers")
    assert ended == OutageEnded(moment(4), 3)
    assert [event.after for event in changes if isinstance(event, Change)] == [State.ASLEEP] * 2, "told at its end"


def test_each_outage_is_told_anew() -> None:
    history = History(UP, FAILED, UP, FAILED, UP)
    history.watch(8)
    assert [type(event) for event in history.told[2:]] == [OutageBegan, OutageEnded] * 2


def test_a_watch_that_ends_in_an_outage_did_not_see_the_end() -> None:
    assert not History(UP, FAILED).watch(3)


@pytest.mark.parametrize("failure", [FAILED, NO_APP])
def test_the_first_look_must_succeed(failure: NotWellError) -> None:
    with pytest.raises(type(failure)):
        History(failure).watch(3)


@pytest.mark.parametrize(
    ("look_seconds", "interval_seconds", "looks"),
    [(0.0, 1.0, [0, 1, 2, 3]), (0.5, 1.0, [0, 1.5, 2.5, 3.5]), (0.0, 2.5, [0, 2.5]), (3.0, 1.0, [0])],
)
def test_looks_come_an_interval_apart_until_the_time_is_up(
    look_seconds: float, interval_seconds: float, looks: list[float]
) -> None:
    history = History(UP, look_seconds=look_seconds)
    history.watch(4, interval_seconds)
    assert history.looks == looks[: len(history.looks)]
    assert len(history.looks) >= len(looks) - 1
    assert history.seconds >= 4


def test_no_time_at_all_is_one_look() -> None:
    history = History(UP)
    assert history.watch(0)
    assert (history.looks, history.shown) == ([0], [0])


def test_the_live_lines_move_every_second_between_two_looks() -> None:
    history = History(UP)
    history.watch(5, interval_seconds=60)
    assert history.shown == [0, 1, 2, 3, 4, 5]


EVENTS = (
    (Change(moment(0), A1, None, State.STARTED), "a1 ams  started"),
    (Change(moment(0), ListedMachine("a1", ""), None, State.ASLEEP), "a1  asleep"),
    (Change(moment(0), A1, State.STARTED, State.ASLEEP, 2.04), "a1 ams  started -> asleep after 2.0 s"),
    (
        Change(moment(0), A1, State.ASLEEP, State.STARTED, 75, at_least=True),
        "a1 ams  asleep -> started after at least 1 min 15 s",
    ),
    (Change(moment(0), A1, State.ABSENT, State.STARTED), "a1 ams  new -> started"),
    (Change(moment(0), A1, State.ASLEEP, State.ABSENT, 7265), "a1 ams  asleep -> destroyed after 2 h 01 min"),
    (OutageBegan(moment(0), "why"), "DNS does not tell: why"),
    (OutageEnded(moment(0), 3), "DNS tells again after 3.0 s"),
)


@pytest.mark.parametrize(("event", "words"), EVENTS)
def test_an_event_is_one_line_with_its_time(event: Event, words: str) -> None:
    assert sentence(event) == f"2026-11-20 12:00:00  {words}"


@pytest.mark.parametrize(("event", "words"), EVENTS)
def test_every_record_has_every_field(event: Event, words: str) -> None:
    fields = record("shop", event)
    assert " ".join(fields) == ("schema_version event time app machine_id region from to after_seconds at_least text")
    assert (fields["time"], fields["text"]) == ("2026-11-20T12:00:00.000+00:00", words)
    json.dumps(fields)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0.0 s"), (59.94, "59.9 s"), (59.96, "1 min 00 s"), (3599, "59 min 59 s"), (3600, "1 h 00 min")],
)
def test_a_length_of_time_is_written_for_a_person(seconds: float, words: str) -> None:
    assert span(seconds) == words


EVIL = ListedMachine("\x1b]0;x\x07", "\u202e")


@pytest.mark.parametrize("as_json", [False, True])
def test_hostile_machine_ids_are_written_as_codes(as_json: bool) -> None:
    stream = io.StringIO()
    Lines(stream, "shop", as_json=as_json).tell(Change(moment(0), EVIL, None, State.STARTED))
    assert stream.getvalue().rstrip("\n").isprintable()


@pytest.fixture
def colour_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("colour_terminal")
def test_a_terminal_gets_a_line_a_machine_and_nothing_hostile() -> None:
    stream = Terminal()
    rows = [Row(EVIL, State.STARTED, moment(0), at_least=True), Row(B2, State.ASLEEP, moment(1), at_least=False)]
    with live_lines(stream, "shop", color=False) as live:
        live.tell(Change(moment(3), EVIL, None, State.STARTED))
        live.show(rows, moment(3), OutageBegan(moment(2), "why"))
    text = stream.getvalue()
    assert r"\x1b]0;x\x07  \u202e  started  before 12:00:00  at least 3.0 s" in " ".join(text.split(" ")).replace(
        "   ", "  "
    )
    assert "b2" in text
    assert "DNS does not tell since 12:00:02 (1.0 s)" in text
    assert "shop: 1 started of 2 deployed Machines, 12:00:03" in text
    assert not set(text) & {"\x07", "\u202e"}
    assert "\x1b]" not in text


@pytest.mark.usefixtures("colour_terminal")
def test_the_cursor_is_never_hidden_while_the_lines_live() -> None:
    stream = Terminal()

    def draw() -> None:
        with live_lines(stream, "shop", color=True) as live:
            assert stream.getvalue().endswith("\x1b[?25h")
            live.show([Row(A1, State.STARTED, moment(0), at_least=False)], moment(1), None)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw()
    assert stream.getvalue().endswith("\n\x1b[?25h"), "the cursor is shown, at the beginning of a line"


@contextmanager
def watching(*arguments: str, stdout: int) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, "watch", "shop", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TERM": "xterm"},
    )
    deadline = threading.Timer(DEADLINE_SECONDS, process.kill)
    deadline.start()
    try:
        yield process
    finally:
        deadline.cancel()
        process.kill()
        process.communicate()


def read_until(controller: int, words: bytes) -> bytes:
    seen = b""
    while words not in seen:
        seen += os.read(controller, 4096)
    return seen


def app_of(nameserver: ScriptedDns, *, started: bool) -> str:
    nameserver.app("shop", "::1", deployed=f"{MACHINE_ID} ams", started=f"{MACHINE_ID} ams" if started else "")
    return f"--dns={nameserver.server}"


def test_ctrl_c_leaves_130_a_whole_line_and_the_cursor(nameserver: ScriptedDns) -> None:
    controller, terminal = pty.openpty()
    try:
        with watching(app_of(nameserver, started=True), "--interval=0.1", stdout=terminal) as process:
            os.close(terminal)
            read_until(controller, b"1 started of 1 deployed Machines")
            app_of(nameserver, started=False)
            read_until(controller, b"-> asleep after at least ")
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=20)
            rest = b""
            while not rest.endswith(b"\r\n\x1b[?25h"):
                rest += os.read(controller, 65536)
        assert (process.returncode, err) == (130, "")
    finally:
        os.close(controller)


def test_ctrl_c_while_lines_are_written_to_a_pipe_leaves_130_and_no_traceback(nameserver: ScriptedDns) -> None:
    with watching(app_of(nameserver, started=True), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().endswith(f"{MACHINE_ID} ams  started\n")
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20) == ("", "")
        assert process.returncode == 130


def test_a_closed_pipe_ends_it_quietly_even_while_nothing_changes(nameserver: ScriptedDns) -> None:
    with watching(app_of(nameserver, started=True), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(20) == 1
        assert process.stderr is not None
        assert process.stderr.read() == ""


def lines_of(nameserver: ScriptedDns, capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(["watch", "shop", f"--dns={nameserver.server}", *arguments])
    out, err = capfd.readouterr()
    return status, out, err


def test_json_is_an_object_a_line(nameserver: ScriptedDns, capfd: pytest.CaptureFixture[str]) -> None:
    app_of(nameserver, started=True)
    status, out, err = lines_of(nameserver, capfd, "--for=0", "--json")
    (line,) = [json.loads(text) for text in out.splitlines()]
    assert (status, err) == (0, "")
    assert (line["schema_version"], line["event"], line["from"], line["to"]) == (1, "machine", None, "started")


def test_a_list_that_comes_empty_without_a_string_is_an_app_asleep(
    nameserver: ScriptedDns, capfd: pytest.CaptureFixture[str]
) -> None:
    app_of(nameserver, started=True)
    nameserver.script["vms.shop.internal", "TXT"] = empty_texts()
    status, out, err = lines_of(nameserver, capfd, "--for=0")
    assert (status, err) == (0, "")
    assert out.endswith(f"{MACHINE_ID} ams  asleep\n")


def test_an_outage_is_survived_and_told(nameserver: ScriptedDns) -> None:
    dns_option = app_of(nameserver, started=True)
    up, failing = nameserver.script["all.vms.shop.internal", "TXT"], code(dns.rcode.SERVFAIL)
    with watching(dns_option, "--interval=0.1", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().endswith("started\n")
        nameserver.script["all.vms.shop.internal", "TXT"] = failing
        assert re.search(
            r"  DNS does not tell: all\.vms\.shop\.internal TXT from .*SERVFAIL", process.stdout.readline()
        )
        nameserver.script["all.vms.shop.internal", "TXT"] = up
        assert re.search(r"  DNS tells again after [\d.]+ s$", process.stdout.readline())


def test_a_watch_that_ends_in_an_outage_is_status_1(nameserver: ScriptedDns, capfd: pytest.CaptureFixture[str]) -> None:
    app_of(nameserver, started=True)
    answers = [nameserver.script["all.vms.shop.internal", "TXT"], code(dns.rcode.SERVFAIL)]

    def next_answer(query: dns.message.Message, over_tcp: bool) -> bytes | None:
        return (answers.pop(0) if len(answers) > 1 else answers[0])(query, over_tcp)

    nameserver.script["all.vms.shop.internal", "TXT"] = next_answer
    status, out, err = lines_of(nameserver, capfd, "--for=1", "--interval=0.1")
    assert [" DNS does not tell: " in line for line in out.splitlines()] == [False, True]
    assert (status, err) == (1, "flycast-probe: it ended while DNS did not tell which Machines are up\n")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (code(dns.rcode.NXDOMAIN), "no app shop in this private network"),
        (records("TXT"), "app shop has no Machines"),
        (code(dns.rcode.SERVFAIL), "SERVFAIL"),
    ],
)
def test_a_first_look_that_fails_is_one_line_and_status_1(
    nameserver: ScriptedDns,
    capfd: pytest.CaptureFixture[str],
    script: Callable[[dns.message.Message, bool], bytes | None],
    words: str,
) -> None:
    nameserver.script["all.vms.shop.internal", "TXT"] = script
    status, out, err = lines_of(nameserver, capfd)
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert words in err


@pytest.mark.parametrize("interval", ["0", "0.09", "-1", "nan", "x"])
def test_an_interval_that_would_ask_without_a_pause_is_refused(
    interval: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch", "shop", f"--interval={interval}"]) == 2
    assert "expected" in capsys.readouterr().err
