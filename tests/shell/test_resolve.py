from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import dns.message
import dns.rcode
import pytest

from shell.answers import Failure, Outcome, RecordType
from shell.errors import UsageError
from shell.resolve import Resolver
from tests.shell.scripted_dns import ScriptedDns, closed_server, code, records, silence, truncated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.shell.scripted_dns import Script

A, T = RecordType.AAAA, RecordType.TXT
NAME = "shop.internal"


@pytest.fixture
def second() -> Iterator[ScriptedDns]:
    with ScriptedDns() as server:
        server.script[NAME, "AAAA"] = records("AAAA", "::1")
        yield server


def test_addresses_come_with_ttl_time_and_server(nameserver: ScriptedDns) -> None:
    nameserver.script["shop.internal", "AAAA"] = records("AAAA", "fdaa:0:18:a7b:7d:f066:b83b:2", "fdaa::9", ttl=7)
    answer = Resolver([nameserver.server]).ask("shop.internal", A)
    assert answer.outcome is Outcome.OK
    assert sorted(answer.records) == ["fdaa:0:18:a7b:7d:f066:b83b:2", "fdaa::9"]
    assert answer.ttl_seconds == 7
    assert answer.server == str(nameserver.server)
    assert answer.elapsed_ms > 0
    assert not answer.over_tcp


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        (records("TXT", "x"), Outcome.OK),
        (records("TXT"), Outcome.NODATA),
        (records("AAAA", "::1"), Outcome.NODATA),
        (code(dns.rcode.NXDOMAIN), Outcome.NXDOMAIN),
        (code(dns.rcode.SERVFAIL), Outcome.SERVFAIL),
        (code(dns.rcode.REFUSED), Outcome.REFUSED),
        (code(dns.rcode.NOTIMP), Outcome.REJECTED),
        (code(dns.rcode.FORMERR), Outcome.REJECTED),
        (truncated(lambda query, _: query.to_wire()[:2] + b"\x80\x00garbage"), Outcome.GARBLED),
        (truncated(lambda _query, _over_tcp: b""), Outcome.GARBLED),
        (truncated(lambda _query, _over_tcp: None), Outcome.TRUNCATED),
        (silence, Outcome.TIMEOUT),
    ],
)
def test_every_outcome_is_told_apart(nameserver: ScriptedDns, script: Script, outcome: Outcome) -> None:
    nameserver.script["vms.shop.internal", "TXT"] = script
    patience = 0.05 if outcome is Outcome.TIMEOUT else 5.0
    answer = Resolver([nameserver.server], try_seconds=patience).ask("vms.shop.internal", T)
    assert answer.outcome is outcome


def test_nobody_listening_is_not_silence() -> None:
    server = closed_server()
    answer = Resolver([server]).ask(NAME, A)
    assert answer.failures == (Failure(str(server), Outcome.UNREACHABLE, "connection refused"),)
    assert str(answer).startswith(
        f"no nameserver answers: {NAME} AAAA from {server}: the nameserver cannot be reached: connection refused; "
    )
    assert answer.elapsed_ms < 1000, "a refused datagram must not be waited for"


def test_a_closed_server_leaves_the_question_to_the_next(nameserver: ScriptedDns) -> None:
    nameserver.script[NAME, "AAAA"] = records("AAAA", "::1")
    answer = Resolver([closed_server(), nameserver.server]).ask(NAME, A)
    assert (answer.outcome, answer.server) == (Outcome.OK, str(nameserver.server))
    assert [failure.outcome for failure in answer.failures] == [Outcome.UNREACHABLE]


@pytest.mark.parametrize(
    ("script", "failure"),
    [
        (code(dns.rcode.SERVFAIL), "the nameserver failed (SERVFAIL)"),
        (code(dns.rcode.REFUSED), "the nameserver refused the question (REFUSED)"),
        (code(dns.rcode.NOTIMP), "the nameserver did not take the question: NOTIMP"),
        (code(dns.rcode.FORMERR), "the nameserver did not take the question: FORMERR"),
        (code(dns.rcode.NOTAUTH), "the nameserver did not take the question: NOTAUTH"),
        (truncated(lambda _query, _over_tcp: b"garbage"), "a garbled answer"),
    ],
)
def test_a_server_that_does_not_tell_leaves_the_question_to_the_next(
    nameserver: ScriptedDns, second: ScriptedDns, script: Script, failure: str
) -> None:
    nameserver.script[NAME, "AAAA"] = script
    answer = Resolver([nameserver.server, second.server]).ask(NAME, A)
    assert (answer.outcome, answer.records, answer.server) == (Outcome.OK, ("::1",), str(second.server))
    assert [str(one) for one in answer.failures] == [failure]


@pytest.mark.parametrize("script", [code(dns.rcode.NXDOMAIN), records("AAAA")])
def test_a_server_that_tells_of_nothing_ends_the_search(
    nameserver: ScriptedDns, second: ScriptedDns, script: Script
) -> None:
    nameserver.script[NAME, "AAAA"] = script
    assert Resolver([nameserver.server, second.server]).ask(NAME, A).outcome.told
    assert second.asked == []


def test_a_silent_server_and_a_closed_one_are_each_told_for_themselves(nameserver: ScriptedDns) -> None:
    nameserver.script[NAME, "AAAA"] = silence
    closed = closed_server()
    answer = Resolver([nameserver.server, closed], try_seconds=0.05).ask(NAME, A)
    assert (answer.outcome, answer.server) == (Outcome.TIMEOUT, str(nameserver.server))
    assert str(answer).startswith(
        f"no nameserver answers: {NAME} AAAA: {nameserver.server}: no answer in time (timeout);"
        f" {closed}: the nameserver cannot be reached: connection refused; "
    )


@pytest.mark.parametrize("order", [1, -1])
def test_what_a_server_said_stands_for_all_and_each_is_told(
    nameserver: ScriptedDns, second: ScriptedDns, order: int
) -> None:
    nameserver.script[NAME, "AAAA"] = code(dns.rcode.REFUSED)
    second.script[NAME, "AAAA"] = silence
    answer = Resolver([nameserver.server, second.server][::order], try_seconds=0.25).ask(NAME, A)
    assert (answer.outcome, answer.server) == (Outcome.REFUSED, str(nameserver.server))
    assert set(answer.endings) == {
        f"{nameserver.server}: the nameserver refused the question (REFUSED)",
        f"{second.server}: no answer in time (timeout)",
    }


def test_a_truncated_answer_and_a_refused_tcp_connection_are_told() -> None:
    with ScriptedDns(tcp=False) as over_udp:
        over_udp.script[NAME, "AAAA"] = truncated(records("AAAA", "::1"))
        answer = Resolver([over_udp.server]).ask(NAME, A)
    assert answer.outcome is Outcome.TRUNCATED
    assert str(answer) == (
        f"{NAME} AAAA from {answer.server}: the answer was truncated, and TCP to the nameserver failed:"
        " connection refused"
    )


def test_a_truncated_answer_and_silence_over_tcp_are_told(nameserver: ScriptedDns) -> None:
    given_up = threading.Event()

    def silent(_query: dns.message.Message, _over_tcp: bool) -> None:
        given_up.wait(10)

    nameserver.script[NAME, "AAAA"] = truncated(silent)
    answer = Resolver([nameserver.server], try_seconds=0.25).ask(NAME, A)
    given_up.set()
    assert answer.endings == ("the answer was truncated, and TCP to the nameserver failed: timed out",)


def without_edns(rcode: dns.rcode.Rcode, *, repeats_question: bool) -> Script:
    """Answer as a server that does not know EDNS."""

    def reply(query: dns.message.Message, over_tcp: bool) -> bytes | None:
        if query.edns < 0:
            return records("AAAA", "::1")(query, over_tcp)
        answer = dns.message.make_response(query)
        answer.use_edns(False)
        answer.set_rcode(rcode)
        if not repeats_question:
            answer.question = []
        return answer.to_wire()

    return reply


@pytest.mark.parametrize("rcode", [dns.rcode.FORMERR, dns.rcode.NOTIMP])
@pytest.mark.parametrize("repeats_question", [True, False])
@pytest.mark.parametrize("many", [False, True])
def test_a_server_without_edns_is_asked_again_without_it(
    nameserver: ScriptedDns, rcode: dns.rcode.Rcode, repeats_question: bool, many: bool
) -> None:
    script = without_edns(rcode, repeats_question=repeats_question)
    nameserver.script[NAME, "AAAA"] = truncated(script) if many else script
    answer = Resolver([nameserver.server]).ask(NAME, A)
    assert (answer.outcome, answer.records, answer.failures) == (Outcome.OK, ("::1",), ())


@pytest.mark.parametrize("name", ["a" * 64 + ".internal", "a..internal", "x." * 130])
def test_what_is_no_dns_name_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match="expected a DNS name"):
        Resolver([]).ask(name, A)
