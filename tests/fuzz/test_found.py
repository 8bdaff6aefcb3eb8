"""What fuzzing has found. What nobody has mended yet is expected to fail, and says so once it no longer does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from private_svc.suspend import ANSWER_AT_MOST, Suspender
from shell.wireguard import content_flaws, parse_peer_file
from tests.private_svc.machines_api import machines_api
from tests.private_svc.making import context
from tests.private_svc.site import PROXY, site

if TYPE_CHECKING:
    from pathlib import Path


def test_a_peer_file_of_many_addresses_is_judged_in_time() -> None:
    many = "[Peer]\n[Interface]\nAddress = " + "::/0," * 2_000
    began_s = time.process_time()
    assert content_flaws(parse_peer_file(many, "fly.conf", 0o600))
    assert time.process_time() - began_s < 1


async def test_an_expectation_that_is_no_text_is_no_fault_of_the_service() -> None:
    async with site() as here:
        answer = await here.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: \xff\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 417 ")


async def test_the_public_is_refused_whatever_it_expects() -> None:
    async with site(PROXY) as here:
        answer = await here.ask("/", "Fly-Client-IP: 2001:db8::1", "Expect: miracles")
        refused = here.activity.refused.total()
    assert (answer.status, refused) == (403, 1)


async def test_who_closes_its_half_is_answered_all_the_same() -> None:
    async with site() as here:
        reader, writer = await here.open()
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        writer.write_eof()
        answer = await reader.read()
    assert answer.endswith(b"ok\n")


async def test_what_the_machines_api_says_is_told_in_a_few_words(tmp_path: Path) -> None:
    made = context()
    async with machines_api(tmp_path / "api", b"no answer " * 5000):
        suspender = Suspender(made.machine, str(tmp_path / "api"))
        await suspender.suspend_when_quiet(made.activity, 1, "a test")
    assert suspender.failure
    assert len(suspender.failure) < 2 * ANSWER_AT_MOST
