"""Queries to the lab's name server: every answer can be read, is to that query, and fits."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import dns.message

from lab.names import MachineRecord, View
from lab.nameserver import MAX_UDP_BYTES, respond
from tests.fuzz.target import Broken, pure

if TYPE_CHECKING:
    from collections.abc import Hashable

_RNG = random.Random(8)  # noqa: S311 - the same choices every time


def _view() -> View:
    metadata = {"fly_process_group": "app", "Role": "Leader"}
    machines = tuple(
        MachineRecord(f"148e{number:02x}", "ams", f"fdaa:0:18:a7b:{number:x}::2", metadata, number % 3 > 0)
        for number in range(1, 90)
    )
    return View({"shop": machines}, {"shop": "fdaa:0:18:0:1::7"}, {}, {}, "ams", "fdaa:0:18::3")


_VIEW = _view()


def _check(data: bytes) -> Hashable:
    rcodes = []
    for over_tcp in (False, True):
        response = respond(data, _VIEW, region="ams", over_tcp=over_tcp, rng=_RNG)
        if response is None:
            rcodes.append(-1)
            continue
        if not over_tcp and len(response) > MAX_UDP_BYTES:
            raise Broken(f"{len(response)} bytes over UDP")
        if response[:2] != data[:2]:
            raise Broken(f"the answer has id {response[:2]!r}, the query {data[:2]!r}")
        message = dns.message.from_wire(response, one_rr_per_rrset=True)
        if not message.flags & 0x8000:  # QR
            raise Broken("an answer that says it is a query")
        rcodes.append(message.rcode() << 8 | min(len(message.answer), 2) << 4 | (message.flags >> 9 & 1))
    return tuple(rcodes)


TARGET = pure("nameserver", _check, 125)
