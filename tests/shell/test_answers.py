from __future__ import annotations

from shell.answers import Answer, ListedMachine, Outcome, RecordType, listed_machines, listed_words


def answer(*records: str) -> Answer:
    return Answer("vms.shop.internal", RecordType.TXT, Outcome.OK, records)


def test_machines_are_listed_by_id_each_once() -> None:
    assert listed_machines(answer("b2 cdg,a1 ams", "a1 ams")) == (
        ListedMachine("a1", "ams"),
        ListedMachine("b2", "cdg"),
    )


def test_an_empty_text_lists_nothing() -> None:
    assert listed_machines(answer("")) == ()
    assert listed_machines(answer(" , ,")) == ()
    assert listed_words(answer("")) == ()


def test_a_machine_without_a_region_is_still_listed() -> None:
    assert listed_machines(answer("a1")) == (ListedMachine("a1", ""),)


def test_words_keep_their_order() -> None:
    assert listed_words(answer("cdg, ams,cdg")) == ("cdg", "ams")


def test_every_outcome_is_told_silent_or_a_failure_of_the_server() -> None:
    assert {outcome for outcome in Outcome if outcome.told} == {Outcome.OK, Outcome.NXDOMAIN, Outcome.NODATA}
    assert {outcome for outcome in Outcome if outcome.silent} == {Outcome.TIMEOUT, Outcome.UNREACHABLE}
