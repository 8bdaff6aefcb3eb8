"""The name server at `fdaa::3`: `.internal` and `.flycast` names, answered from a snapshot of the lab.

Rules (FLY_FACTS section 4 unless noted):

- AAAA answers hold started Machines only; `.flycast` always answers. TTL 5 s. Names ignore case.
- A name of something deployed exists even when all of it sleeps, and an A query for it is empty, never
  NXDOMAIN. A name that only has names below it exists too (RFC 8020).
- No upstream here: a name outside the two zones is SERVFAIL. The one exception is `<app>.fly.dev`, as the Internet
  knows it: the app's public address, else NXDOMAIN. RA is set because Fly's server recurses and
  nslookup complains without it.
- `_instances` holds `instance=ID,app=NAME,ip=6PN,region=REGION` joined by `;`, as published clients parse it.
- What cannot be read is FORMERR if it carries an id, else silence; another opcode NOTIMP; another class or a
  zone transfer REFUSED (RFC 1035 section 4.1.1). An answer too long for UDP goes out empty with TC set
  (RFC 2181 section 9), and UDP never exceeds 1232 bytes, whatever the client's EDNS says.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

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

if TYPE_CHECKING:
    import random
    import socket
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lab.log import EventLog

TTL_SECONDS: Final = 5
MAX_UDP_BYTES: Final = 1232
MAX_TCP_BYTES: Final = 65535
_CLASSIC_UDP_BYTES = 512
_HEADER_BYTES = 12
_QR_BIT = 0x80
_TRANSFERS = (dns.rdatatype.AXFR, dns.rdatatype.IXFR)


@dataclass(frozen=True, slots=True)
class MachineRecord:
    """What the names need to know of one deployed Machine."""

    machine_id: str
    region: str
    process_group: str
    private_ip: str
    started: bool


@dataclass(frozen=True, slots=True)
class AppRecord:
    """One app: its Flycast address, if it has one, its deployed Machines, and a public address or ""."""

    name: str
    flycast_ip: str | None
    machines: tuple[MachineRecord, ...]
    public_ip: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """What one private network may know at one moment: its apps by name."""

    apps: Mapping[str, AppRecord]


@dataclass(frozen=True, slots=True)
class Records:
    """What an existing name holds; both may be empty."""

    addresses: tuple[str, ...] = ()
    text: str = ""


ZONES: Final = ("internal", "flycast")
PUBLIC_ZONE: Final = ["fly", "dev"]


def lookup(labels: Sequence[str], view: View) -> Records | None:
    """Return what a name in one of the `ZONES` holds, or None when it does not exist.

    `labels` are lower case, without the root.
    """
    match labels:
        case ["flycast"] | ["internal"]:
            return Records()
        case [app_name, "flycast"]:
            app = view.apps.get(app_name)
            return Records(addresses=(app.flycast_ip,)) if app and app.flycast_ip else None
        case [*below, "_apps" | "_instances" as list_name, "internal"]:
            return _of_network(tuple(below), list_name, view)
        case [*below, app_name, "internal"] if app_name in view.apps:
            return _of_app(tuple(below), view.apps[app_name].machines)
    return None


def _in_public(labels: Sequence[str], view: View) -> Records | None:
    """Return what a name of the `PUBLIC_ZONE` holds, or None when it does not exist."""
    app = view.apps.get(".".join(labels[: -len(PUBLIC_ZONE)]))
    return Records(addresses=(app.public_ip,)) if app and app.public_ip else None


def _of_network(below: tuple[str, ...], list_name: str, view: View) -> Records | None:
    match (*below, list_name):
        case ("_apps",):
            return Records(text=",".join(sorted(view.apps)))
        case ("_instances",):
            return Records(text=_instances(view, deployed=False))
        case ("all", "_instances"):
            return Records(text=_instances(view, deployed=True))
    return None


def _of_app(below: tuple[str, ...], deployed: tuple[MachineRecord, ...]) -> Records | None:
    if below in _LISTS:
        return _LISTS[below](deployed)
    match below:
        case (machine_id, "vm"):
            return _some(m for m in deployed if m.machine_id.lower() == machine_id)
        case (group, "process"):
            return _some(m for m in deployed if m.process_group.lower() == group)
        case (region,):
            return _some(m for m in deployed if m.region.lower() == region)
    return None


def _some(machines: Iterable[MachineRecord]) -> Records | None:
    deployed = tuple(machines)
    return Records(addresses=_started(deployed)) if deployed else None


def _started(machines: tuple[MachineRecord, ...]) -> tuple[str, ...]:
    return tuple(machine.private_ip for machine in machines if machine.started)


def _vms(machines: Iterable[MachineRecord]) -> str:
    return ",".join(sorted(f"{machine.machine_id} {machine.region}" for machine in machines))


def _regions(machines: Iterable[MachineRecord]) -> str:
    return ",".join(sorted({machine.region for machine in machines}))


_Deployed = tuple[MachineRecord, ...]
_LISTS: Final[dict[tuple[str, ...], Callable[[_Deployed], Records | None]]] = {
    (): lambda deployed: Records(addresses=_started(deployed)),
    ("global",): lambda deployed: Records(addresses=_started(deployed)),
    ("vms",): lambda deployed: Records(text=_vms(m for m in deployed if m.started)),
    ("all", "vms"): lambda deployed: Records(text=_vms(deployed)),
    ("regions",): lambda deployed: Records(text=_regions(m for m in deployed if m.started)),
    ("all", "regions"): lambda deployed: Records(text=_regions(deployed)),
    ("all",): lambda _: Records(),
    ("vm",): lambda deployed: _some(deployed) and Records(),
    ("process",): lambda deployed: _some(deployed) and Records(),
}


def _instances(view: View, *, deployed: bool) -> str:
    return ";".join(
        f"instance={machine.machine_id},app={app.name},ip={machine.private_ip},region={machine.region}"
        for _, app in sorted(view.apps.items())
        for machine in app.machines
        if deployed or machine.started
    )


def answer(query: dns.message.Message, view: View, *, rng: random.Random) -> dns.message.Message:
    """Return the response to one well-formed query; `rng` orders the addresses."""
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
    found = lookup(labels, view) if is_own else _in_public(labels, view)
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


def respond(wire: bytes, view: View, *, over_tcp: bool, rng: random.Random) -> bytes | None:
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
    response = answer(query, view, rng=rng)
    if over_tcp:
        return _tcp_wire(response)
    payload = query.payload if query.edns >= 0 else _CLASSIC_UDP_BYTES
    return _udp_wire(response, min(max(payload, _CLASSIC_UDP_BYTES), MAX_UDP_BYTES))


def _header_only(wire: bytes, rcode: dns.rcode.Rcode) -> bytes:
    """Echo id, opcode and RD; where even those are missing they are zero."""
    asked = wire[2] if len(wire) > 2 else 0  # noqa: PLR2004 the flags follow the two-byte id
    return wire[:2] + bytes((_QR_BIT | (asked & 0x79), 0x80 | rcode)) + bytes(8)


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
        self._udp: list[asyncio.DatagramTransport] = []
        self._tcp: list[asyncio.Server] = []
        self._connections: set[asyncio.Task[None]] = set()

    async def serve(self, udp: socket.socket, tcp: socket.socket) -> None:
        """Start answering on two bound sockets; call again for another address."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _UdpSide(self._respond), sock=udp)
        self._udp.append(transport)
        self._tcp.append(await asyncio.start_server(self._accepted, sock=tcp, limit=MAX_TCP_BYTES + 2))

    async def close(self) -> None:
        """Stop answering and close every socket and connection."""
        for transport in self._udp:
            transport.close()
        for server in self._tcp:
            server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await asyncio.sleep(0)  # transports close their sockets in the next turn of the loop

    def _respond(self, wire: bytes, *, over_tcp: bool) -> bytes | None:
        try:
            return respond(wire, self._view(), over_tcp=over_tcp, rng=self._rng)
        except Exception as error:  # noqa: BLE001 one bad query must not end the server
            self._log("dns", f"query failed: {error!r}", level="error")
            return _header_only(wire, dns.rcode.SERVFAIL)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= self._max_tcp_connections:
            writer.close()
            return
        task = asyncio.get_running_loop().create_task(self._converse(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                async with asyncio.timeout(self._tcp_idle_seconds):
                    wire = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                    response = self._respond(wire, over_tcp=True)
                    if response is None:
                        return
                    writer.write(len(response).to_bytes(2) + response)
                    await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, OSError):
            pass  # the client is done, gone or too slow
        finally:
            writer.close()


class _Respond(Protocol):
    def __call__(self, wire: bytes, *, over_tcp: bool) -> bytes | None: ...


class _UdpSide(asyncio.DatagramProtocol):
    def __init__(self, respond_to: _Respond) -> None:
        self._respond_to = respond_to

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        response = self._respond_to(data, over_tcp=False)
        if response is not None:
            self._transport.sendto(response, addr)
