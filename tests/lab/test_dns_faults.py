from __future__ import annotations

import asyncio
import random
import socket
from contextlib import suppress

import pytest

from lab.dns_faults import Past, faulty
from lab.faults import NO_FAULTS, Faults
from tests.lab.test_machine import Notes

RNG = random.Random(1)  # noqa: S311 - the same losses every time


def bound() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


def test_without_a_fault_the_socket_is_left_as_it_is() -> None:
    with bound() as sound:
        assert faulty(sound, NO_FAULTS, RNG, Notes()) is sound


def test_as_many_questions_are_lost_as_was_asked() -> None:
    notes = Notes()
    with faulty(bound(), Faults(lost_dns_percent=30), RNG, notes) as server, bound() as client:
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
        with faulty(bound(), Faults(dns_delay_ms=50), RNG, Notes()) as server:
            began = loop.time()
            assert server.sendto(b"answer", client.getsockname()) == len(b"answer")
            async with asyncio.timeout(10):
                assert await loop.sock_recv(client, 100) == b"answer"
            assert loop.time() - began >= 0.05
            server.sendto(b"too late", client.getsockname())
        await asyncio.sleep(0.06)  # past the time it would have left
        with pytest.raises(BlockingIOError):
            client.recv(100)


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
