"""The name server at `fdaa::3`: bytes of a query in, bytes of an answer out, from what `lab.names` says.

Rules (docs/fly.md, "DNS", unless noted):

- TTL 5 s.  An A query for an existing name is empty, never NXDOMAIN.
- No upstream here: a name outside the two zones is SERVFAIL. The one exception is `<app>.fly.dev`: the app's public
  address, else NXDOMAIN. RA is set because Fly's server recurses and nslookup complains without it.
- What cannot be read is FORMERR if it carries an id, else silence; another opcode NOTIMP; another class or a
  zone transfer REFUSED (RFC 1035 section 4.1.1). An answer too long for UDP goes out empty with TC set
  (RFC 2181 section 9), and UDP never exceeds 1232 bytes, whatever the client's EDNS says.
- Rendered answers are kept until the network changes: the same bytes from the same region get the same answer, one of
  several addresses in one of a few orders.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.TXT
import dns.rrset

from lab.errors import reason
from lab.names import PUBLIC_ZONE, ZONES, in_public, lookup

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from lab.log import EventLog
    from lab.names import Records, View

TTL_SECONDS: Final = 5
MAX_UDP_BYTES: Final = 1232
MAX_TCP_BYTES: Final = 65535
_CLASSIC_UDP_BYTES = 512
_HEADER_BYTES = 12
_RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024  # a burst waits here while the loop is busy; the kernel may grant less
_BATCH = 64
_MAX_KEPT = 4096  # each at most 512 bytes of question and 1232 of answer
_ORDERS = 16
_ONLY_ORDER = -1  # of an answer with one record or none
_QR_BIT = 0x80
_TRANSFERS = (dns.rdatatype.AXFR, dns.rdatatype.IXFR)


def answer(query: dns.message.Message, view: View, *, region: str, rng: random.Random) -> dns.message.Message:
    """Return the response to one well-formed query from `region`; `rng` orders the addresses."""
    response = dns.message.make_response(query, recursion_available=True, our_payload=MAX_UDP_BYTES)
    refusal = _refusal(query)
    if refusal is not None:
        response.set_rcode(refusal)
        return response
    question = query.question[0]
    labels = [label.decode("ascii", "replace").lower() for label in question.name.labels[:-1]]
    is_own = bool(labels) and labels[-1] in ZONES
    if not is_own and labels[-2:] != PUBLIC_ZONE:
        response.set_rcode(dns.rcode.SERVFAIL)
        return response
    found = lookup(labels, view, region) if is_own else in_public(labels, view)
    if is_own:
        response.flags |= dns.flags.AA
    if found is None:
        response.set_rcode(dns.rcode.NXDOMAIN)
    else:
        response.answer.extend(_rrsets(question, found, rng))
    return response


def _refusal(query: dns.message.Message) -> dns.rcode.Rcode | None:
    if len(query.question) != 1:
        return dns.rcode.FORMERR
    if query.edns > 0:
        return dns.rcode.BADVERS
    question = query.question[0]
    if question.rdclass != dns.rdataclass.IN or question.rdtype in _TRANSFERS:
        return dns.rcode.REFUSED
    return None


def _rrsets(question: dns.rrset.RRset, found: Records, rng: random.Random) -> list[dns.rrset.RRset]:
    wanted = question.rdtype
    rrsets = []
    if found.addresses and wanted in (dns.rdatatype.AAAA, dns.rdatatype.ANY):
        rrset = dns.rrset.RRset(question.name, dns.rdataclass.IN, dns.rdatatype.AAAA)
        for address in rng.sample(found.addresses, len(found.addresses)):
            rrset.add(_aaaa(address), TTL_SECONDS)
        rrsets.append(rrset)
    if found.text and wanted in (dns.rdatatype.TXT, dns.rdatatype.ANY):
        rrset = dns.rrset.RRset(question.name, dns.rdataclass.IN, dns.rdatatype.TXT)
        raw = found.text.encode()
        strings = [raw[at : at + 255] for at in range(0, len(raw), 255)]
        rrset.add(dns.rdtypes.ANY.TXT.TXT(dns.rdataclass.IN, dns.rdatatype.TXT, strings), TTL_SECONDS)
        rrsets.append(rrset)
    return rrsets


@lru_cache(maxsize=4096)
def _aaaa(address: str) -> dns.rdata.Rdata:
    return dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.AAAA, address)


def respond(wire: bytes, view: View, *, region: str, over_tcp: bool, rng: random.Random) -> bytes | None:
    """Return the bytes to send back for the bytes that came, or None where silence is right."""
    if len(wire) < 2 or (len(wire) > 2 and wire[2] & _QR_BIT):  # noqa: PLR2004 the id is two bytes
        return None
    if len(wire) < _HEADER_BYTES:
        return _header_only(wire, dns.rcode.FORMERR)
    if (wire[2] >> 3) & 0xF != dns.opcode.QUERY:
        return _header_only(wire, dns.rcode.NOTIMP)
    try:
        query = dns.message.from_wire(wire)
    except (dns.exception.DNSException, ValueError):
        return _header_only(wire, dns.rcode.FORMERR)
    response = answer(query, view, region=region, rng=rng)
    if over_tcp:
        return _tcp_wire(response)
    payload = query.payload if query.edns >= 0 else _CLASSIC_UDP_BYTES
    return _udp_wire(response, min(max(payload, _CLASSIC_UDP_BYTES), MAX_UDP_BYTES))


def _header_only(wire: bytes, rcode: dns.rcode.Rcode) -> bytes:
    """Echo id, opcode and RD; where even those are missing they are zero."""
    asked = wire[2] if len(wire) > 2 else 0  # noqa: PLR2004 the flags follow the two-byte id
    return wire[:2] + bytes((_QR_BIT | (asked & 0x79), 0x80 | rcode)) + bytes(8)


def _records_in(wire: bytes) -> int:
    return int.from_bytes(wire[6:8])


def _udp_wire(response: dns.message.Message, max_bytes: int) -> bytes:
    try:
        return response.to_wire(max_size=max_bytes)
    except dns.exception.TooBig:
        response.answer.clear()
        response.flags |= dns.flags.TC
        return response.to_wire(max_size=max_bytes)


def _tcp_wire(response: dns.message.Message) -> bytes:
    try:
        return response.to_wire(max_size=MAX_TCP_BYTES)
    except dns.exception.TooBig:
        response.answer.clear()
        response.set_rcode(dns.rcode.SERVFAIL)
        return response.to_wire(max_size=MAX_TCP_BYTES)


class NameServer:
    """Serves bound UDP and TCP sockets from whatever view is current at each query."""

    def __init__(
        self,
        view: Callable[[], View],
        log: EventLog,
        rng: random.Random,
        *,
        max_tcp_connections: int = 64,
        tcp_idle_seconds: float = 10.0,
    ) -> None:
        """Answer from `view()`; connections beyond the bound or idle too long are closed."""
        self._view = view
        self._log = log
        self._rng = rng
        self._max_tcp_connections = max_tcp_connections
        self._tcp_idle_seconds = tcp_idle_seconds
        self._udp: list[socket.socket] = []
        self._tcp: list[asyncio.Server] = []
        self._connections: set[asyncio.Task[None]] = set()
        self._kept_of: View | None = None
        self._kept: dict[tuple[bytes, str, int], bytes | None] = {}

    async def serve(self, udp: socket.socket, tcp: socket.socket) -> None:
        """Start answering on two bound sockets; call again for another address."""
        udp.setblocking(False)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        asyncio.get_running_loop().add_reader(udp, self._read, udp)
        self._udp.append(udp)
        self._tcp.append(await asyncio.start_server(self._accepted, sock=tcp, limit=MAX_TCP_BYTES + 2))

    async def close(self) -> None:
        """Stop answering and close every socket and connection."""
        for udp in self._udp:
            asyncio.get_running_loop().remove_reader(udp)
            udp.close()
        for server in self._tcp:
            server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await asyncio.sleep(0)  # transports close their sockets in the next turn of the loop

    def _read(self, udp: socket.socket) -> None:
        """Answer what has come, a batch at a time: others of this loop have their turn in between."""
        with suppress(OSError):  # nothing left to read; or no room to send, and UDP may lose
            for _ in range(_BATCH):
                wire, asker = udp.recvfrom(MAX_TCP_BYTES)
                response = self._respond(wire, asker[0], over_tcp=False)
                if response is not None:
                    udp.sendto(response, asker)

    def _respond(self, wire: bytes, asker: str, *, over_tcp: bool) -> bytes | None:
        try:
            view = self._view()
            region = view.regions.get(asker, view.home_region)
            if over_tcp or not _HEADER_BYTES <= len(wire) <= _CLASSIC_UDP_BYTES:
                return respond(wire, view, region=region, over_tcp=over_tcp, rng=self._rng)
            return self._respond_as_before(wire, view, region)
        except Exception as error:  # noqa: BLE001 one bad query must not end the server
            self._log("dns", f"query failed: {reason(error)}", level="error")
            return _header_only(wire, dns.rcode.SERVFAIL)

    def _respond_as_before(self, wire: bytes, view: View, region: str) -> bytes | None:
        """Answer from what is kept: of two queries with the same answer only the id differs."""
        if view is not self._kept_of or len(self._kept) >= _MAX_KEPT:
            self._kept_of, self._kept = view, {}
        key = only = wire[2:], region, _ONLY_ORDER
        if only not in self._kept:
            key = wire[2:], region, self._rng.randrange(_ORDERS)
        if key not in self._kept:
            fresh = respond(wire, view, region=region, over_tcp=False, rng=self._rng)
            if fresh is None or _records_in(fresh) <= 1:
                key = only
            self._kept[key] = fresh and fresh[2:]
        kept = self._kept[key]
        return kept and wire[:2] + kept

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= self._max_tcp_connections:
            writer.close()
            return
        task = asyncio.get_running_loop().create_task(self._converse(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asker = writer.get_extra_info("peername", ("",))[0]
        try:
            while True:
                async with asyncio.timeout(self._tcp_idle_seconds):
                    wire = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                    response = self._respond(wire, asker, over_tcp=True)
                    if response is None:
                        return
                    writer.write(len(response).to_bytes(2) + response)
                    await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, OSError):
            pass  # the client is done, gone or too slow
        except Exception as error:  # noqa: BLE001 one connection's fault must not go unseen, nor end the server
            self._log("dns", f"connection failed: {reason(error)}", level="error")
        finally:
            writer.close()
