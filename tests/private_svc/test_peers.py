"""What is known of the other Machines, from a nameserver on loopback that says what a test tells it to."""

from __future__ import annotations

import asyncio
import os
import socket
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.rcode
import pytest
from dns.asyncresolver import Resolver

from private_svc import peers
from private_svc.peers import Directory, Peer, Peers
from tests.private_svc.process import PATIENCE_SECONDS, service
from tests.private_svc.site import site
from tests.shell.scripted_dns import ScriptedDns, code, raw_text, records, silence

if TYPE_CHECKING:
    from collections.abc import Iterator

APP = "shop"
ALL, STARTED = (f"all.vms.{APP}.internal", "TXT"), (f"vms.{APP}.internal", "TXT")
TWO = "148e21b7c06389 ams,5683210c7968e1 cdg"


def garbage(_query: dns.message.Message, _over_tcp: bool) -> bytes:
    return os.urandom(40)


def other_id(query: dns.message.Message, _over_tcp: bool) -> bytes:
    answer = dns.message.make_response(query)
    answer.id ^= 1
    return answer.to_wire()


@pytest.fixture
def dns_server() -> Iterator[ScriptedDns]:
    with ScriptedDns() as server:
        server.script[ALL] = records("TXT", TWO)
        server.script[STARTED] = records("TXT", "148e21b7c06389 ams")
        yield server


def files() -> set[Path]:
    """Return every file this process has open."""
    return set(Path("/proc/self/fd").iterdir())


async def answered() -> None:
    """Wait until everything under way is done."""
    here = asyncio.current_task()
    _, late = await asyncio.wait([task for task in asyncio.all_tasks() if task is not here], timeout=PATIENCE_SECONDS)
    assert not late, late


class Asked:
    """A directory that asks the scripted nameserver, and a clock that stands still."""

    def __init__(self, dns_server: ScriptedDns, answer_seconds: float = PATIENCE_SECONDS) -> None:
        self.now_s = 100.0
        self._server = dns_server
        self.directory = Directory(APP, self._resolver, lambda: self.now_s, answer_seconds)

    def _resolver(self) -> Resolver:
        resolver = Resolver(configure=False)
        resolver.nameservers, resolver.port = [self._server.server.host], self._server.server.port
        return resolver

    async def until_answered(self) -> Peers:
        """Wait until the question under way has its answer; return what is known then."""
        await answered()
        return self.directory.known()


async def test_nobody_waits_the_first_answer_is_there_next_time(dns_server: ScriptedDns) -> None:
    asked = Asked(dns_server)
    assert asked.directory.known() == Peers(None, 0.0, "")
    assert await asked.until_answered() == Peers(
        (Peer("148e21b7c06389", "ams", started=True), Peer("5683210c7968e1", "cdg", started=False))
    )


@pytest.mark.parametrize(("ttl", "kept_seconds"), [(0, 1), (1, 1), (5, 5), (60, 60), (2**31 - 1, 60)])
@pytest.mark.parametrize("shorter", [ALL, STARTED])
async def test_an_answer_is_kept_for_its_ttl_within_bounds(
    dns_server: ScriptedDns, ttl: int, kept_seconds: int, shorter: tuple[str, str]
) -> None:
    dns_server.script[ALL] = dns_server.script[STARTED] = records("TXT", TWO, ttl=2**31 - 1)
    dns_server.script[shorter] = records("TXT", TWO, ttl=ttl)
    asked = Asked(dns_server)
    asked.directory.known()
    await asked.until_answered()
    asked.now_s += kept_seconds - 0.01
    assert asked.directory.known().age_seconds == pytest.approx(kept_seconds - 0.01)
    assert len(dns_server.asked) == 2, "it is known: nobody is asked"
    asked.now_s += 0.02
    asked.directory.known()
    await asked.until_answered()
    assert len(dns_server.asked) == 4


async def test_a_thousand_looks_are_one_question(dns_server: ScriptedDns) -> None:
    asked = Asked(dns_server)
    for _ in range(1000):
        asked.directory.known()
    await asked.until_answered()
    assert [(name, record_type) for name, record_type, _ in dns_server.asked] == [ALL, STARTED]


BAD = {
    "servfail": code(dns.rcode.SERVFAIL),
    "refused": code(dns.rcode.REFUSED),
    "nxdomain": code(dns.rcode.NXDOMAIN),
    "silence": silence,
    "garbage": garbage,
    "the answer to another question": other_id,
}


@pytest.mark.parametrize(("name", "which"), [*product(BAD, [ALL, STARTED])])
async def test_a_failure_is_told_and_what_was_known_stays(
    dns_server: ScriptedDns, name: str, which: tuple[str, str]
) -> None:
    asked = Asked(dns_server, answer_seconds=0.2)
    asked.directory.known()
    before = await asked.until_answered()
    dns_server.script[which] = BAD[name]
    asked.now_s += 6
    asked.directory.known()
    after = await asked.until_answered()
    assert after.machines == before.machines
    assert after.age_seconds == 6
    assert after.problem, "the panel says why"
    assert len(after.problem) <= 200
    questions = len(dns_server.asked)
    asked.directory.known()
    assert len(dns_server.asked) == questions, "a failure is kept for a while, too"
    dns_server.script[which] = records("TXT", TWO)
    asked.now_s += 6
    asked.directory.known()
    assert (await asked.until_answered()).problem == ""


async def test_no_data_means_no_machines(dns_server: ScriptedDns) -> None:
    dns_server.script[STARTED] = records("TXT")
    asked = Asked(dns_server)
    asked.directory.known()
    machines = (await asked.until_answered()).machines
    assert machines is not None
    assert [machine.started for machine in machines] == [False, False]
    dns_server.script[ALL] = records("TXT")
    asked.now_s += 6
    asked.directory.known()
    assert (await asked.until_answered()).machines == ()


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (b"", []),
        (b",,, ,", []),
        (b"lonely", []),
        (b"one ams,two", ["one"]),
        (b"one ams too-much", []),
        (b"evil\x1b[2J ams,good cdg", ["good"]),
        (b"\xff\xfe ams", ["\ufffd\ufffd"]),
        (b" spaced   ams ", ["spaced"]),
    ],
)
async def test_odd_texts_are_read_as_far_as_they_make_sense(
    dns_server: ScriptedDns, text: bytes, ids: list[str]
) -> None:
    dns_server.script[ALL] = dns_server.script[STARTED] = raw_text(text)
    asked = Asked(dns_server)
    asked.directory.known()
    known = await asked.until_answered()
    assert [machine.machine_id for machine in known.machines or ()] == ids
    assert known.problem == ""


async def test_a_long_list_is_bounded(dns_server: ScriptedDns) -> None:
    texts = [",".join(f"{number:014x} ams" for number in range(start, start + 10)) for start in range(0, 3000, 10)]
    dns_server.script[ALL] = dns_server.script[STARTED] = records("TXT", *texts)

    def cut(query: dns.message.Message, over_tcp: bool) -> bytes | None:
        if over_tcp:
            return records("TXT", *texts)(query, over_tcp)
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.TC
        return answer.to_wire()

    dns_server.script[ALL] = dns_server.script[STARTED] = cut
    asked = Asked(dns_server)
    asked.directory.known()
    assert len((await asked.until_answered()).machines or ()) == peers.PEERS_AT_MOST


async def test_a_resolver_that_cannot_be_made_is_a_problem_and_tried_again() -> None:
    now_s = 0.0

    def broken() -> Resolver:
        raise OSError("no resolv.conf")

    directory = Directory(APP, broken, lambda: now_s)
    directory.known()
    await answered()
    assert directory.known().problem == "OSError: no resolv.conf"


async def test_no_socket_is_left_open(dns_server: ScriptedDns) -> None:
    asked = Asked(dns_server)
    asked.directory.known()
    await asked.until_answered()
    before = files()
    for _ in range(20):
        asked.now_s += 100
        asked.directory.known()
        await asked.until_answered()
    assert files() <= before


async def test_the_panel_is_answered_while_dns_is_silent(dns_server: ScriptedDns) -> None:
    dns_server.script[ALL] = silence
    asked = Asked(dns_server, answer_seconds=1.0)
    async with site(directory=asked.directory) as here:
        answers = [await here.ask("/api/status") for _ in range(20)]
    assert [answer.status for answer in answers] == [200] * 20
    assert len(dns_server.asked) <= 1
    await answered()


def test_off_fly_nobody_is_asked() -> None:
    with service() as running, socket.create_connection(("127.0.0.1", running.port("admin"))) as caller:
        caller.sendall(b"GET /api/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        caller.settimeout(PATIENCE_SECONDS)
        answer = b"".join(iter(lambda: caller.recv(65536), b""))
        assert b'"peers": null' in answer
