from __future__ import annotations

import io

from shell.answers import Answer, Failure, Outcome, RecordType
from shell.names.report import show_survey
from shell.names.survey import MachineRow, Survey
from shell.screen import Screen


def shown(*answers: Answer, machines: tuple[MachineRow, ...] = ()) -> str:
    stream = io.StringIO()
    show_survey(Screen(stream, color=False), Survey("shop", answers, machines))
    return stream.getvalue()


def text(name: str, *records: str) -> Answer:
    return Answer(name, RecordType.TXT, Outcome.OK, records, 5, 1.0, "fdaa::3")


def test_every_outcome_but_records_is_said_in_words() -> None:
    for outcome in Outcome:
        if outcome is not Outcome.OK:
            line = shown(Answer("shop.internal", RecordType.AAAA, outcome, server="fdaa::3")).splitlines()[2]
            assert f"AAAA  {outcome}  " in line


def test_each_nameserver_that_failed_has_a_line() -> None:
    failures = (Failure("fdaa::3", Outcome.TIMEOUT), Failure("10.0.0.1", Outcome.UNREACHABLE, "connection refused"))
    answer = Answer("shop.internal", RecordType.AAAA, Outcome.TIMEOUT, server="fdaa::3", failures=failures)
    lines = shown(answer).splitlines()
    assert "fdaa::3: no answer in time (timeout)  " in lines[2]
    assert lines[3].strip() == "10.0.0.1: the nameserver cannot be reached: connection refused"


def test_the_list_of_machines_has_a_line_a_machine() -> None:
    lines = shown(text("all._instances.internal", "instance=a1,app=shop;instance=b2,app=shell")).splitlines()
    assert lines[2].split() == ["all._instances.internal", "TXT", "instance=a1,app=shop", "5", "1.0"]
    assert lines[3].split() == ["instance=b2,app=shell"]


def test_a_text_that_fills_screens_is_cut_and_says_where_all_of_it_is() -> None:
    out = shown(text("_peer.internal", "x" * 1000), text("_apps.internal", "y" * 60_000))
    assert "x" * 1000 + "  " in out
    assert "y" * 1000 + " ... (59000 more characters: --json has all)" in out
    assert len(out) < 10_000


def test_addresses_are_taken_apart_each_once() -> None:
    six_pn = "fdaa:0:18:a7b:7d:f066:b83b:2"
    answers = [Answer(name, RecordType.AAAA, Outcome.OK, (six_pn,)) for name in ("shop.internal", "ams.shop.internal")]
    assert shown(*answers).endswith(
        "addresses\n"
        "address                       what it is   network         host    machine\n"
        "fdaa:0:18:a7b:7d:f066:b83b:2  6PN address  fdaa:0:18::/48  a7b:7d  f066:b83b\n\n"
    )


def test_started_machines_are_set_against_deployed_ones() -> None:
    machines = (
        MachineRow("a1", "ams", started=True, private_ip="fdaa::9"),
        MachineRow("b2", "", started=False, private_ip=""),
    )
    assert shown(machines=machines).endswith(
        "shop: 1 started of 2 deployed Machines\n"
        "Machine  region  state    6PN address\n"
        "a1       ams     started  fdaa::9\n"
        "b2               asleep\n\n"
    )
