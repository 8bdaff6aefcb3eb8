from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import dns.message
import pytest

from shell.answers import Outcome, RecordType
from shell.resolve import Resolver
from shell.servers import Server
from tests.shell.scripted_dns import records, silence, truncated

if TYPE_CHECKING:
    from tests.shell.scripted_dns import Script, ScriptedDns

A = RecordType.AAAA


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


@pytest.mark.parametrize("kept", range(0, 60, 10))
def test_an_answer_that_ends_anywhere_is_garbled(nameserver: ScriptedDns, kept: int) -> None:
    def cut(query: dns.message.Message, over_tcp: bool) -> bytes | None:
        wire = records("AAAA", "::1")(query, over_tcp)
        assert wire is not None
        return wire[: min(kept, len(wire) - 12)]

    nameserver.script["shop.internal", "AAAA"] = cut
    answer = Resolver([nameserver.server], try_seconds=0.25).ask("shop.internal", A)
    assert answer.outcome is Outcome.GARBLED


def test_an_unreadable_answer_is_told_as_garbled_and_not_asked_for_again(nameserver: ScriptedDns) -> None:
    nameserver.script["shop.internal", "AAAA"] = lambda query, _: query.to_wire()[:2] + b"\x80\x00garbage"
    answer = Resolver([nameserver.server], try_seconds=0.25).ask("shop.internal", A)
    assert answer.endings == ("a garbled answer",)
    assert len(nameserver.asked) == 1


def test_a_good_answer_after_an_unreadable_one_counts() -> None:
    def serve(server: socket.socket) -> None:
        wire, client = server.recvfrom(65535)
        query = dns.message.from_wire(wire)
        server.sendto(wire[:2] + b"\x80\x00garbage", client)
        server.sendto(records("AAAA", "::1")(query, False) or b"", client)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        answer = Resolver([Server("127.0.0.1", server.getsockname()[1])]).ask("shop.internal", A)
        thread.join(10)
    assert answer.records == ("::1",)
