"""Ask nameservers one question at a time, with no cache: UDP first, TCP when the answer was cut short.

Rules: a truncated answer is asked for again over TCP (RFC 7766 §5); a datagram that is no answer to this very
question is dropped and the wait goes on (RFC 5452 §9.1); a message over TCP follows its length in two bytes
(RFC 1035 §4.2.2). The UDP socket is connected, so that "nobody listens there" is told apart from silence.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, NoReturn

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rdtypes.ANY.TXT
import dns.rdtypes.IN.AAAA

from shell.answers import Answer, Outcome, RecordType
from shell.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shell.servers import Server

_UDP_TRIES = 2
_EDNS_PAYLOAD = 1232
_MAX_DATAGRAM = 65535
_RCODES = {
    dns.rcode.NXDOMAIN: Outcome.NXDOMAIN,
    dns.rcode.SERVFAIL: Outcome.SERVFAIL,
    dns.rcode.REFUSED: Outcome.REFUSED,
}


class Resolver:
    """Asks the servers in order, until one answers."""

    def __init__(
        self,
        servers: Sequence[Server],
        *,
        try_seconds: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep `servers`; `try_seconds` bounds each of two UDP tries, and one TCP exchange, with each."""
        self._servers = tuple(servers)
        self._try_seconds = try_seconds
        self._clock = clock

    def ask(self, name: str, record_type: RecordType) -> Answer:
        """Ask one question; failures are outcomes. Raise `UsageError` when `name` is no DNS name."""
        try:
            asked = dns.name.from_text(name)
        except (dns.exception.DNSException, UnicodeError) as error:
            raise UsageError(f"expected a DNS name, got {name!r}: {error}") from error
        began = self._clock()
        outcome, server = Outcome.UNREACHABLE, ""
        for candidate in self._servers:
            query = dns.message.make_query(asked, record_type, use_edns=0, payload=_EDNS_PAYLOAD)
            server = str(candidate)
            try:
                message, over_tcp = self._exchange(query, candidate)
            except TimeoutError:
                outcome = Outcome.TIMEOUT
            except OSError:
                continue
            except dns.exception.DNSException:
                outcome = Outcome.GARBLED
            else:
                return self._answer(name, record_type, message, began, server, over_tcp=over_tcp)
        return Answer(name, record_type, outcome, elapsed_ms=self._since(began), server=server)

    def _answer(
        self,
        name: str,
        record_type: RecordType,
        message: dns.message.Message,
        began: float,
        server: str,
        *,
        over_tcp: bool,
    ) -> Answer:
        elapsed_ms = self._since(began)
        outcome, records, ttl = read_answer(message, record_type)
        return Answer(name, record_type, outcome, records, ttl, elapsed_ms, server, over_tcp)

    def _since(self, began: float) -> float:
        return (self._clock() - began) * 1000

    def _exchange(self, query: dns.message.Message, server: Server) -> tuple[dns.message.Message, bool]:
        answer = self._over_udp(query, server)
        if answer.flags & dns.flags.TC:
            return self._over_tcp(query, server), True
        return answer, False

    def _over_udp(self, query: dns.message.Message, server: Server) -> dns.message.Message:
        with _connected(server, socket.SOCK_DGRAM, self._try_seconds) as udp:
            for _ in range(_UDP_TRIES):
                udp.send(query.to_wire())
                deadline = self._clock() + self._try_seconds
                while (left := deadline - self._clock()) > 0:
                    udp.settimeout(left)
                    try:
                        wire = udp.recv(_MAX_DATAGRAM)
                    except TimeoutError:
                        break
                    answer = _answer_to(query, wire)
                    if answer is not None:
                        return answer
        raise TimeoutError

    def _over_tcp(self, query: dns.message.Message, server: Server) -> dns.message.Message:
        deadline = self._clock() + self._try_seconds
        with _connected(server, socket.SOCK_STREAM, self._try_seconds) as tcp:
            wire = query.to_wire()
            tcp.sendall(len(wire).to_bytes(2) + wire)
            size = int.from_bytes(self._receive(tcp, 2, deadline))
            answer = _answer_to(query, self._receive(tcp, size, deadline))
        if answer is None:
            _not_understood()
        return answer

    def _receive(self, tcp: socket.socket, size: int, deadline: float) -> bytes:
        content = b""
        while len(content) < size:
            left = deadline - self._clock()
            if left <= 0:
                raise TimeoutError
            tcp.settimeout(left)
            piece = tcp.recv(size - len(content))
            if not piece:
                _not_understood()
            content += piece
        return content


def read_answer(message: dns.message.Message, record_type: RecordType) -> tuple[Outcome, tuple[str, ...], int | None]:
    """Return the outcome, the records as text and the shortest TTL of a DNS message."""
    if message.rcode() != dns.rcode.NOERROR:
        return _RCODES.get(message.rcode(), Outcome.REJECTED), (), None
    wanted = [rrset for rrset in message.answer if rrset.rdtype == dns.rdatatype.from_text(record_type)]
    records = tuple(_text(record) for rrset in wanted for record in rrset)
    if not records:
        return Outcome.NODATA, (), None
    return Outcome.OK, records, min(rrset.ttl for rrset in wanted)


def _text(record: object) -> str:
    if isinstance(record, dns.rdtypes.ANY.TXT.TXT):
        return b"".join(record.strings).decode("utf-8", "backslashreplace")
    if isinstance(record, dns.rdtypes.IN.AAAA.AAAA):
        return str(record.address)
    return str(record)


def _answer_to(query: dns.message.Message, wire: bytes) -> dns.message.Message | None:
    """Return the message when it answers `query`, None when it is something else."""
    try:
        message = dns.message.from_wire(wire, ignore_trailing=True, raise_on_truncation=False)
    except dns.exception.DNSException:
        if wire[:2] == query.id.to_bytes(2):
            raise
        return None
    return message if query.is_response(message) else None


def _connected(server: Server, kind: socket.SocketKind, timeout_seconds: float) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(server.host, server.port, type=kind, flags=socket.AI_NUMERICHOST)[0]
    connection = socket.socket(family, kind)
    try:
        connection.settimeout(timeout_seconds)
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


def _not_understood() -> NoReturn:
    raise dns.exception.FormError
