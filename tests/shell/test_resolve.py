from __future__ import annotations

import socket
import threading
from itertools import pairwise
from typing import TYPE_CHECKING

import dns.message
import dns.rcode
import dns.rrset
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


def test_a_flood_of_forged_answers_does_not_outlive_the_deadline() -> None:
    done = threading.Event()

    def flood(server: socket.socket) -> None:
        wire, client = server.recvfrom(65535)
        forged = dns.message.make_response(dns.message.from_wire(wire))
        forged.id ^= 1
        packet = forged.to_wire()
        while not done.is_set():
            server.sendto(packet, client)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        thread = threading.Thread(target=flood, args=(server,))
        thread.start()
        try:
            resolver = Resolver([Server("127.0.0.1", server.getsockname()[1])], try_seconds=0.1)
            answer = resolver.ask("shop.internal", A)
        finally:
            done.set()
            thread.join(10)
    assert answer.outcome is Outcome.TIMEOUT
    assert answer.elapsed_ms < 5000, f"two tries of 100 ms took {answer.elapsed_ms:.0f} ms"


def test_an_answer_cut_in_the_middle_of_a_record_is_asked_for_over_tcp(nameserver: ScriptedDns) -> None:
    full = records("AAAA", "::1")

    def cut(query: dns.message.Message, over_tcp: bool) -> bytes | None:
        wire = full(query, over_tcp)
        assert wire is not None
        return wire if over_tcp else wire[:2] + bytes([wire[2] | 0x02]) + wire[3:-20]

    nameserver.script["shop.internal", "AAAA"] = cut
    answer = Resolver([nameserver.server]).ask("shop.internal", A)
    assert (answer.outcome, answer.over_tcp) == (Outcome.OK, True)


def aliases(*chain: str, address: str = "") -> Script:
    """Answer with aliases, each of the next, and an address of the last."""

    def reply(query: dns.message.Message, _over_tcp: bool) -> bytes:
        answer = dns.message.make_response(query)
        for ttl, (alias, target) in enumerate(pairwise(chain), 30):
            answer.answer.append(dns.rrset.from_text(f"{alias}.", ttl, "IN", "CNAME", f"{target}."))
        if address:
            answer.answer.append(dns.rrset.from_text(f"{chain[-1]}.", 60, "IN", "AAAA", address))
        return answer.to_wire()

    return reply


@pytest.mark.parametrize(
    ("script", "outcome", "found"),
    [
        (aliases("shop.internal", "b.internal", "c.internal", address="::1"), Outcome.OK, ("::1",)),
        (aliases("shop.internal", "b.internal"), Outcome.NODATA, ()),
        (aliases("shop.internal", "shop.internal"), Outcome.GARBLED, ()),
        (aliases("shop.internal", "b.internal", "shop.internal"), Outcome.GARBLED, ()),
        (aliases("other.internal", address="::1"), Outcome.NODATA, ()),
    ],
    ids=["chain", "dead end", "itself", "circle", "another name"],
)
def test_aliases_are_followed_and_never_in_a_circle(
    nameserver: ScriptedDns, script: Script, outcome: Outcome, found: tuple[str, ...]
) -> None:
    nameserver.script["shop.internal", "AAAA"] = script
    answer = Resolver([nameserver.server]).ask("shop.internal", A)
    assert (answer.outcome, answer.records) == (outcome, found)
    assert answer.ttl_seconds == (30 if found else None), "the shortest TTL of the chain"


def test_a_text_as_large_as_dns_allows_comes_whole_over_tcp(nameserver: ScriptedDns) -> None:
    nameserver.script["vms.shop.internal", "TXT"] = truncated(raw_text(*[b"\x1b" * 255] * 255))
    answer = Resolver([nameserver.server]).ask("vms.shop.internal", T)
    assert answer.records == ("\x1b" * 255 * 255,)


@pytest.mark.parametrize("kept", range(0, 60, 3))
def test_an_answer_that_ends_anywhere_is_no_answer(nameserver: ScriptedDns, kept: int) -> None:
    def cut(query: dns.message.Message, over_tcp: bool) -> bytes | None:
        wire = records("AAAA", "::1")(query, over_tcp)
        assert wire is not None
        return wire[: min(kept, len(wire) - 12)]

    nameserver.script["shop.internal", "AAAA"] = cut
    answer = Resolver([nameserver.server], try_seconds=0.02).ask("shop.internal", A)
    assert answer.outcome is Outcome.TIMEOUT


@pytest.mark.parametrize("over_tcp", [False, True])
def test_ctrl_c_while_an_answer_is_read_is_obeyed(
    nameserver: ScriptedDns, monkeypatch: pytest.MonkeyPatch, over_tcp: bool
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    answer = records("AAAA", "::1")
    nameserver.script["shop.internal", "AAAA"] = truncated(answer) if over_tcp else answer
    monkeypatch.setattr("dns.rdtypes.IN.AAAA.AAAA.from_wire_parser", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Resolver([nameserver.server], try_seconds=0.5).ask("shop.internal", A)


def test_a_long_text_in_many_strings_is_one_text(nameserver: ScriptedDns) -> None:
    nameserver.script["vms.shop.internal", "TXT"] = raw_text(b"a1 ams,b", b"2 cdg", b"\x1b[31m\xff")
    answer = Resolver([nameserver.server]).ask("vms.shop.internal", T)
    assert answer.records == ("a1 ams,b2 cdg\x1b[31m\\xff",)


@pytest.mark.parametrize("name", ["a" * 64 + ".internal", "a..internal", "x." * 130])
def test_what_is_no_dns_name_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match="expected a DNS name"):
        Resolver([]).ask(name, A)
