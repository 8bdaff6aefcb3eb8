"""A nameserver on loopback that says what a test tells it to, over UDP and TCP."""

from __future__ import annotations

import selectors
import socket
import struct
import threading
from typing import TYPE_CHECKING, Self

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from shell.servers import Server

if TYPE_CHECKING:
    from collections.abc import Callable

    Reply = bytes | None
    Script = Callable[[dns.message.Message, bool], Reply]


def records(record_type: str, *values: str, ttl: int = 5) -> Script:
    """Answer with records; TXT values are quoted here."""

    def reply(query: dns.message.Message, _over_tcp: bool) -> bytes:
        answer = dns.message.make_response(query)
        texts = [f'"{value}"' if record_type == "TXT" else value for value in values]
        if texts:
            answer.answer.append(dns.rrset.from_text(query.question[0].name, ttl, "IN", record_type, *texts))
        return answer.to_wire(max_size=65535)

    return reply


def empty_texts(count: int = 1) -> Script:
    """Answer with TXT records of no string at all, which dnspython cannot write."""

    def reply(query: dns.message.Message, _over_tcp: bool) -> bytes:
        answer = dns.message.make_response(query)
        answer.use_edns(False)
        wire = answer.to_wire()
        record = b"\xc0\x0c" + struct.pack("!HHIH", 16, 1, 5, 0)  # the name of the question, TXT, IN, TTL, RDLENGTH
        return wire[:6] + count.to_bytes(2) + wire[8:] + record * count

    return reply


def raw_text(*strings: bytes) -> Script:
    """Answer with one TXT record of these raw strings."""

    def reply(query: dns.message.Message, _over_tcp: bool) -> bytes:
        answer = dns.message.make_response(query)
        wire = b"".join(bytes([len(string)]) + string for string in strings)
        record = dns.rdata.from_wire("IN", "TXT", wire, 0, len(wire))
        answer.answer.append(dns.rrset.from_rdata(query.question[0].name, 5, record))
        return answer.to_wire(max_size=65535)

    return reply


def code(rcode: dns.rcode.Rcode) -> Script:
    """Answer with a response code and nothing else."""

    def reply(query: dns.message.Message, _over_tcp: bool) -> bytes:
        answer = dns.message.make_response(query)
        answer.set_rcode(rcode)
        return answer.to_wire()

    return reply


def silence(_query: dns.message.Message, _over_tcp: bool) -> None:
    """Do not answer."""


def truncated(
    full: Script,
) -> Script:
    """Cut the answer short over UDP; give the full one over TCP."""

    def reply(query: dns.message.Message, over_tcp: bool) -> Reply:
        if over_tcp:
            return full(query, over_tcp)
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.TC
        return answer.to_wire()

    return reply


class ScriptedDns:
    """Serves `script`, a mapping of (name, type) to a reply; NXDOMAIN where it has nothing.

    With `tcp=False` it refuses TCP connections.
    """

    def __init__(self, *, tcp: bool = True) -> None:
        self.script: dict[tuple[str, str], Script] = {}
        self.asked: list[tuple[str, str, str]] = []
        self._udp, self._tcp = same_port()
        if not tcp:
            self._tcp.close()
        self._stop, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="scripted-dns")

    @property
    def server(self) -> Server:
        return Server("127.0.0.1", self._udp.getsockname()[1])

    def app(self, name: str, flycast: str, *, deployed: str, started: str) -> None:
        """Describe an app by its `all.vms` and `vms` texts."""
        self.script[f"{name}.flycast", "AAAA"] = records("AAAA", flycast)
        self.script[f"all.vms.{name}.internal", "TXT"] = records("TXT", *([deployed] if deployed else []))
        self.script[f"vms.{name}.internal", "TXT"] = records("TXT", *([started] if started else []))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.close()
        self._thread.join(10)
        for end in (self._udp, self._tcp, self._stopped):
            end.close()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            for end in (self._udp, self._tcp, self._stopped):
                if end.fileno() >= 0:
                    selector.register(end, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if self._stopped in ready:
                    return
                if self._udp in ready:
                    wire, client = self._udp.recvfrom(65535)
                    reply = self._reply(wire, over_tcp=False)
                    if reply is not None:
                        self._udp.sendto(reply, client)
                if self._tcp in ready:
                    self._serve_tcp()

    def _serve_tcp(self) -> None:
        connection, _ = self._tcp.accept()
        with connection, connection.makefile("rwb") as stream:
            connection.settimeout(10)
            reply = self._reply(stream.read(int.from_bytes(stream.read(2))), over_tcp=True)
            if reply is not None:
                stream.write(len(reply).to_bytes(2) + reply)

    def _reply(self, wire: bytes, *, over_tcp: bool) -> Reply:
        query = dns.message.from_wire(wire)
        name = query.question[0].name.to_text(omit_final_dot=True)
        record_type = dns.rdatatype.to_text(query.question[0].rdtype)
        self.asked.append((name, record_type, "tcp" if over_tcp else "udp"))
        return self.script.get((name, record_type), code(dns.rcode.NXDOMAIN))(query, over_tcp)


def closed_server() -> Server:
    """Return a port of loopback where nobody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        return Server("127.0.0.1", free.getsockname()[1])


def same_port() -> tuple[socket.socket, socket.socket]:
    """Bind UDP and TCP to one free port of loopback."""
    for _ in range(50):
        tcp = socket.create_server(("127.0.0.1", 0))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.bind(tcp.getsockname())
        except OSError:
            udp.close()
            tcp.close()
        else:
            return udp, tcp
    raise AssertionError("no port is free for both UDP and TCP")
