from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import dns.message
import dns.rrset
import pytest

from shell.answers import Outcome, RecordType
from shell.resolve import Resolver
from tests.shell.scripted_dns import empty_texts, raw_text, records, truncated

if TYPE_CHECKING:
    from tests.shell.scripted_dns import Script, ScriptedDns

A, T = RecordType.AAAA, RecordType.TXT


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


@pytest.mark.parametrize("count", [1, 2, 300])
@pytest.mark.parametrize("over_tcp", [False, True])
def test_a_text_without_a_string_is_no_record(nameserver: ScriptedDns, count: int, over_tcp: bool) -> None:
    empty = empty_texts(count)
    nameserver.script["vms.shop.internal", "TXT"] = truncated(empty) if over_tcp else empty
    answer = Resolver([nameserver.server]).ask("vms.shop.internal", T)
    assert (answer.outcome, answer.over_tcp) == (Outcome.NODATA, over_tcp)


def test_texts_beside_one_without_a_string_are_read(nameserver: ScriptedDns) -> None:
    def both(query: dns.message.Message, over_tcp: bool) -> bytes:
        full, empty = records("TXT", "a1 ams")(query, over_tcp), empty_texts()(query, over_tcp)
        assert full
        assert empty
        question = len(query.question[0].name.to_wire() or b"") + 16
        return empty[:6] + b"\x00\x02" + empty[8:] + full[question:]

    nameserver.script["vms.shop.internal", "TXT"] = both
    assert Resolver([nameserver.server]).ask("vms.shop.internal", T).records == ("a1 ams",)


@pytest.mark.parametrize("rest", [b"", b"\x00\x00\x10\x00\x01", b"\x00\x00\x1c\x00\x01\x00\x00\x00\x05\x00\x00"])
def test_a_message_that_ends_early_after_a_text_without_a_string_is_garbled(
    nameserver: ScriptedDns, rest: bytes
) -> None:
    def cut(query: dns.message.Message, over_tcp: bool) -> bytes:
        wire = empty_texts()(query, over_tcp)
        assert wire
        return wire[:6] + b"\x00\x02" + wire[8:] + rest

    nameserver.script["vms.shop.internal", "TXT"] = truncated(cut)
    assert Resolver([nameserver.server]).ask("vms.shop.internal", T).outcome is Outcome.GARBLED
