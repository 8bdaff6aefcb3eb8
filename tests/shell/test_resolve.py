from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import dns.message
import dns.rcode
import pytest

from shell.answers import Outcome, RecordType
from shell.errors import UsageError
from shell.resolve import Resolver
from shell.servers import Server
from tests.shell.scripted_dns import code, raw_text, records, silence, truncated

if TYPE_CHECKING:
    from tests.shell.scripted_dns import Script, ScriptedDns

A, T = RecordType.AAAA, RecordType.TXT


def closed_server() -> Server:
    """Return a port of loopback where nobody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        return Server("127.0.0.1", free.getsockname()[1])


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
        (lambda query, _: query.to_wire()[:2] + b"\x80\x00garbage", Outcome.TIMEOUT),
        (truncated(lambda query, _: query.to_wire()[:2] + b"\x80\x00garbage"), Outcome.GARBLED),
        (truncated(lambda _query, _over_tcp: b""), Outcome.GARBLED),
        (truncated(lambda _query, _over_tcp: None), Outcome.GARBLED),
        (silence, Outcome.TIMEOUT),
    ],
)
def test_every_outcome_is_told_apart(nameserver: ScriptedDns, script: Script, outcome: Outcome) -> None:
    nameserver.script["vms.shop.internal", "TXT"] = script
    patience = 0.05 if outcome is Outcome.TIMEOUT else 5.0
    answer = Resolver([nameserver.server], try_seconds=patience).ask("vms.shop.internal", T)
    assert answer.outcome is outcome


def test_nobody_listening_is_not_silence() -> None:
    answer = Resolver([closed_server()]).ask("shop.internal", A)
    assert answer.outcome is Outcome.UNREACHABLE
    assert answer.elapsed_ms < 1000, "a refused datagram must not be waited for"


def test_a_server_that_fails_to_answer_leaves_the_question_to_the_next(nameserver: ScriptedDns) -> None:
    nameserver.script["shop.internal", "AAAA"] = records("AAAA", "::1")
    answer = Resolver([closed_server(), nameserver.server]).ask("shop.internal", A)
    assert (answer.outcome, answer.server) == (Outcome.OK, str(nameserver.server))


def test_a_lost_datagram_is_sent_again(nameserver: ScriptedDns) -> None:
    replies: list[Script] = [silence, records("AAAA", "::1")]

    def next_reply(query: dns.message.Message, over_tcp: bool) -> bytes | None:
        return replies.pop(0)(query, over_tcp)

    nameserver.script["shop.internal", "AAAA"] = next_reply
    assert Resolver([nameserver.server], try_seconds=0.5).ask("shop.internal", A).outcome is Outcome.OK
    assert len(nameserver.asked) == 2


def test_a_truncated_answer_is_asked_for_over_tcp(nameserver: ScriptedDns) -> None:
    many = [f"fdaa:0:18:a7b:7d:0:{n:x}:2" for n in range(1, 400)]
    nameserver.script["shop.internal", "AAAA"] = truncated(records("AAAA", *many))
    answer = Resolver([nameserver.server]).ask("shop.internal", A)
    assert answer.over_tcp
    assert len(answer.records) == 399
    assert [way for _, _, way in nameserver.asked] == ["udp", "tcp"]


def test_a_datagram_that_answers_something_else_is_dropped(nameserver: ScriptedDns) -> None:
    def forged(query: dns.message.Message, _over_tcp: bool) -> bytes:
        answer = dns.message.make_response(query)
        answer.id ^= 1
        return answer.to_wire()

    nameserver.script["shop.internal", "AAAA"] = forged
    answer = Resolver([nameserver.server], try_seconds=0.05).ask("shop.internal", A)
    assert answer.outcome is Outcome.TIMEOUT


def test_a_long_text_in_many_strings_is_one_text(nameserver: ScriptedDns) -> None:
    nameserver.script["vms.shop.internal", "TXT"] = raw_text(b"a1 ams,b", b"2 cdg", b"\x1b[31m\xff")
    answer = Resolver([nameserver.server]).ask("vms.shop.internal", T)
    assert answer.records == ("a1 ams,b2 cdg\x1b[31m\\xff",)


@pytest.mark.parametrize("name", ["a" * 64 + ".internal", "a..internal", "x." * 130])
def test_what_is_no_dns_name_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match="expected a DNS name"):
        Resolver([]).ask(name, A)
