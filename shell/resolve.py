"""Ask nameservers one question at a time, with no cache: UDP first, TCP when the answer was cut short.

Rules
- A truncated answer is asked for again over TCP (RFC 7766 §5), however little of it can be read.
- A datagram that is no answer to this very question, or cannot be read, is dropped and the wait goes on (RFC 5452
  §9.1); however many come, the wait ends in time.
- Only records of the name that was asked for count, or of what its aliases lead to (RFC 1034 §3.6.2); aliases in a
  circle are garbled.
- The UDP socket is connected, so that "nobody listens there" is told apart from silence.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import dns.exception
import dns.flags
import dns.inet
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdtypes.ANY.TXT

from shell.answers import Answer, Outcome, RecordType
from shell.errors import UsageError
from shell.servers import choose_servers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shell.servers import Server

_UDP_TRIES = 2
_MOST_BYTES = 65535
_EDNS_PAYLOAD = 1232
_RCODES = {
    dns.rcode.NXDOMAIN: Outcome.NXDOMAIN,
    dns.rcode.SERVFAIL: Outcome.SERVFAIL,
    dns.rcode.REFUSED: Outcome.REFUSED,
}


class Resolver:
    """Asks the servers in order, until one answers."""

    def __init__(self, servers: Sequence[Server], *, try_seconds: float = 2.0) -> None:
        """Keep `servers`; `try_seconds` bounds each of two UDP tries, and one TCP exchange, with each."""
        self._servers = tuple(servers)
        self._try_seconds = try_seconds

    def ask(self, name: str, record_type: RecordType) -> Answer:
        """Ask one question; failures are outcomes. Raise `UsageError` when `name` is no DNS name."""
        try:
            query = dns.message.make_query(name, record_type, use_edns=0, payload=_EDNS_PAYLOAD)
        except (dns.exception.DNSException, UnicodeError) as error:
            raise UsageError(f"expected a DNS name, got {name!r}: {error}") from error
        began = time.monotonic()
        outcome, place = Outcome.UNREACHABLE, ""
        records: tuple[str, ...] = ()
        ttl, over_tcp = None, False
        for server in self._servers:
            place = str(server)
            try:
                message, over_tcp = self._exchange(query, server)
            except dns.exception.Timeout:
                outcome = Outcome.TIMEOUT
            except OSError:
                continue
            except (dns.exception.DNSException, EOFError) as error:
                _let_ctrl_c_out(error)
                outcome = Outcome.GARBLED
            else:
                outcome, records, ttl = read_answer(message)
                break
        elapsed_ms = (time.monotonic() - began) * 1000
        return Answer(name, record_type, outcome, records, ttl, elapsed_ms, place, over_tcp)

    def _exchange(self, query: dns.message.Message, server: Server) -> tuple[dns.message.Message, bool]:
        answer = self._over_udp(query, server)
        if not answer.flags & dns.flags.TC:
            return answer, False
        return dns.query.tcp(query, server.host, self._try_seconds, server.port, ignore_trailing=True), True

    def _over_udp(self, query: dns.message.Message, server: Server) -> dns.message.Message:
        with socket.socket(dns.inet.af_for_address(server.host), socket.SOCK_DGRAM) as udp:
            udp.connect(dns.inet.low_level_address_tuple((server.host, server.port)))
            for _ in range(_UDP_TRIES):
                udp.send(query.to_wire())
                answer = _receive(udp, query, time.monotonic() + self._try_seconds)
                if answer is not None:
                    return answer
        raise dns.exception.Timeout


def _receive(udp: socket.socket, query: dns.message.Message, deadline: float) -> dns.message.Message | None:
    """Return the first answer to the question, or None when it is too late."""
    while (left_seconds := deadline - time.monotonic()) > 0:
        udp.settimeout(left_seconds)
        try:
            wire = udp.recv(_MOST_BYTES)
        except TimeoutError:
            break
        try:
            answer = dns.message.from_wire(wire, ignore_trailing=True, continue_on_error=True)
        except dns.exception.DNSException as error:
            _let_ctrl_c_out(error)
            continue
        for failure in answer.errors:
            _let_ctrl_c_out(failure.exception)
        readable = not answer.errors or answer.flags & dns.flags.TC
        if readable and query.is_response(answer):
            return answer
    return None


def _let_ctrl_c_out(error: Exception) -> None:
    """Raise a Ctrl-C that came while dnspython read a message: it wraps whatever happens then, even that."""
    if isinstance(error.__cause__, KeyboardInterrupt):
        raise KeyboardInterrupt from error


def open_resolver(dns: str | None) -> Resolver:
    """Return a resolver of the servers that `--dns`, resolv.conf or Fly's rule name."""
    return Resolver(choose_servers(dns))


def read_answer(message: dns.message.Message) -> tuple[Outcome, tuple[str, ...], int | None]:
    """Return the outcome, the records as text and the shortest TTL of a DNS message."""
    if message.rcode() != dns.rcode.NOERROR:
        return _RCODES.get(message.rcode(), Outcome.REJECTED), (), None
    if not isinstance(message, dns.message.QueryMessage):
        return Outcome.GARBLED, (), None
    try:
        found = message.resolve_chaining()
    except dns.exception.DNSException:
        return Outcome.GARBLED, (), None
    if found.answer is None:
        return Outcome.NODATA, (), None
    return Outcome.OK, tuple(_text(record) for record in found.answer), found.minimum_ttl


def _text(record: object) -> str:
    """Return an address, or the strings of a TXT record as the one text they are."""
    if isinstance(record, dns.rdtypes.ANY.TXT.TXT):
        return b"".join(record.strings).decode("utf-8", "backslashreplace")
    return str(record)
