"""Ask nameservers one question at a time, with no cache.

Rules
- The servers are asked in order, as the C library does: one that is silent, fails, refuses, does not take the question
  or sends what cannot be understood leaves it to the next (resolv.conf(5)). Each server's failure is kept.
- A server that answers FORMERR or NOTIMP to EDNS is asked again without it (RFC 6891 §6.2.2).
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import dns.exception
import dns.message
import dns.rcode

from shell.answers import Answer, Failure, Outcome, RecordType, most_telling
from shell.dns_exchange import Reply, exchange
from shell.dns_message import read_answer
from shell.errors import UsageError
from shell.servers import choose_servers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shell.servers import Server

_EDNS_PAYLOAD = 1232
_NO_EDNS = {dns.rcode.FORMERR, dns.rcode.NOTIMP}


class Resolver:
    """Asks the servers in order, until one tells."""

    def __init__(self, servers: Sequence[Server], *, try_seconds: float = 2.0) -> None:
        """Keep `servers`; `try_seconds` bounds each of two UDP tries, and one TCP exchange, with each.

        A server that does not know EDNS has as much time again.
        """
        self._servers = tuple(servers)
        self._try_seconds = try_seconds

    def ask(self, name: str, record_type: RecordType) -> Answer:
        """Ask one question; failures are outcomes. Raise `UsageError` when `name` is no DNS name."""
        try:
            query = dns.message.make_query(name, record_type, use_edns=0, payload=_EDNS_PAYLOAD)
        except (dns.exception.DNSException, UnicodeError) as error:
            raise UsageError(f"expected a DNS name, got {name!r}: {error}") from error
        began_s = time.monotonic()
        answer = self._ask_in_turn(name, record_type, query)
        return replace(answer, elapsed_ms=(time.monotonic() - began_s) * 1000)

    def _ask_in_turn(self, name: str, record_type: RecordType, query: dns.message.Message) -> Answer:
        failures: list[Failure] = []
        for server in self._servers:
            reply = self._exchange(query, server)
            if isinstance(reply, Failure):
                failures.append(reply)
                continue
            outcome, records, ttl = read_answer(reply.message)
            if outcome.told:
                return Answer(
                    name, record_type, outcome, records, ttl, 0.0, str(server), reply.over_tcp, tuple(failures)
                )
            code = dns.rcode.to_text(reply.message.rcode()) if outcome is Outcome.REJECTED else ""
            failures.append(Failure(str(server), outcome, code))
        telling = most_telling(failures)
        return Answer(name, record_type, telling.outcome, server=telling.server, failures=tuple(failures))

    def _exchange(self, query: dns.message.Message, server: Server) -> Reply | Failure:
        reply = exchange(query, server, self._try_seconds)
        if isinstance(reply, Failure) or reply.message.rcode() not in _NO_EDNS:
            return reply
        question = query.question[0]
        return exchange(dns.message.make_query(question.name, question.rdtype), server, self._try_seconds)


def open_resolver(dns: str | None) -> Resolver:
    """Return a resolver of the servers that `--dns`, resolv.conf or Fly's rule name."""
    return Resolver(choose_servers(dns))
