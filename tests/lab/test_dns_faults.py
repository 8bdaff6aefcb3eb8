from __future__ import annotations

import asyncio
import random
import socket
from contextlib import suppress

import pytest

from lab.dns_faults import FaultySocket, Past
from lab.faults import Faults
from tests.lab.test_machine import Notes

RNG = random.Random(1)  # noqa: S311 - the same losses every time


def bound() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


def test_as_many_questions_are_lost_as_was_asked() -> None:
    notes = Notes()
    with FaultySocket(bound(), Faults(lost_dns_percent=30), RNG, notes) as server, bound() as client:
        heard = 0
        for _ in range(500):
            client.sendto(b"question", server.getsockname())
            with suppress(BlockingIOError):
                heard += server.recvfrom(100)[0] == b"question"
    assert 300 < heard < 400, heard
    assert len(notes.lines) == 500 - heard
    assert notes.lines[0] == "dns [warn] fault lost-dns: a question is not answered"


async def test_an_answer_leaves_late_and_one_that_is_due_after_the_end_never() -> None:
    loop = asyncio.get_running_loop()
    with bound() as client:
        with FaultySocket(bound(), Faults(dns_delay_ms=50), RNG, Notes()) as server:
            began = loop.time()
            assert server.sendto(b"answer", client.getsockname()) == len(b"answer")
            async with asyncio.timeout(10):
                assert await loop.sock_recv(client, 100) == b"answer"
            assert loop.time() - began >= 0.05
            server.sendto(b"too late", client.getsockname())
        await asyncio.sleep(0.06)  # past the time it would have left
        with pytest.raises(BlockingIOError):
            client.recv(100)


def test_a_past_that_is_switched_on_later_begins_then_and_ends_at_once() -> None:
    now, present = [0.0], ["a"]
    notes = Notes()
    past = Past(lambda: present[0], 0, lambda: now[0], notes)

    def at(seconds: float, value: str) -> str:
        now[0], present[0] = seconds, value
        past.note()
        return past()

    assert at(1, "b") == "b"
    past.seconds = 5
    assert at(2, "c") == "b"
    assert at(6.9, "d") == "b"
    assert at(7, "d") == "c"
    past.seconds = 0
    assert at(8, "e") == "e"
    assert notes.lines == ["dns [warn] fault stale-dns: names tell of this change in 5s"] * 2


def test_the_past_is_told_until_it_is_long_enough_ago() -> None:
    now, present = [0.0], ["a"]
    notes = Notes()
    past = Past(lambda: present[0], 5, lambda: now[0], notes)
    told = []
    for at, value in [(1, "b"), (2, "b"), (3, "c"), (5.9, "c"), (6, "c"), (8, "c"), (99, "c")]:
        now[0], present[0] = at, value
        past.note()
        told.append(past())
    assert told == ["a", "a", "a", "a", "b", "c", "c"]
    assert notes.lines == ["dns [warn] fault stale-dns: names tell of this change in 5s"] * 2
