"""What DNS lists as the app's Machines, as the service shows it: words that can be printed, and not too many."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import dns.message
import dns.rdata
import dns.rrset
from dns.asyncresolver import Resolver

from private_svc.peers import PEERS_AT_MOST, Directory, Peers
from tests.fuzz.loops import on_a_loop
from tests.fuzz.target import Broken, Target

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable

    from tests.fuzz.loops import AsyncCheck

_LONGEST = 20_000  # fits into a datagram


class Nameserver(asyncio.DatagramProtocol):
    """Answers every question with one text."""

    says = b""

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override] # a datagram's
        """Keep it."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer."""
        answer = dns.message.make_response(dns.message.from_wire(data))
        strings = [self.says[at : at + 255] for at in range(0, len(self.says), 255)] or [b""]
        wire = b"".join(bytes([len(string)]) + string for string in strings)
        record = dns.rdata.from_wire("IN", "TXT", wire, 0, len(wire))
        answer.answer.append(dns.rrset.from_rdata(answer.question[0].name, 5, record))
        self._transport.sendto(answer.to_wire(max_size=65535), addr)


@asynccontextmanager
async def _serving() -> AsyncIterator[AsyncCheck]:
    loop = asyncio.get_running_loop()
    transport, nameserver = await loop.create_datagram_endpoint(Nameserver, local_addr=("127.0.0.1", 0))
    resolver = Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], transport.get_extra_info("sockname")[1]

    async def check(data: bytes) -> Hashable:
        nameserver.says = data[:_LONGEST]
        directory = Directory("shop", lambda: resolver, answer_seconds=10)
        while (known := directory.known()) == Peers():  # noqa: ASYNC110 - the product waits for no answer either
            await asyncio.sleep(0)
        if known.machines is None:
            raise Broken(f"nothing is known: {known.problem}")
        words = [word for machine in known.machines for word in (machine.machine_id, machine.region)]
        if len(known.machines) > PEERS_AT_MOST or not all(word.isprintable() for word in words):
            raise Broken(f"{len(known.machines)} machines: {words[:6]}")
        return min(len(known.machines), 3)

    try:
        yield check
    finally:
        transport.close()


TARGET = Target("peers", lambda: on_a_loop(_serving()), 100)
