"""Answers of a nameserver to the probe, over UDP and TCP: an outcome in words, in time, whatever came.

A right answer follows each input over UDP, so that one which is none is passed over.
"""

from __future__ import annotations

import selectors
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import dns.message
import dns.rcode

from shell.answers import Outcome, RecordType, listed_machines, listed_words
from shell.resolve import Resolver
from shell.servers import Server
from tests.fuzz.target import Broken, Target
from tests.shell.scripted_dns import same_port

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from tests.fuzz.target import Check

NAME = "vms.shop.internal"
_TRY_SECONDS = 5.0


class Nameserver:
    """Sends what it is told to."""

    def __init__(self) -> None:
        self.says = b""
        self.udp, self.tcp = same_port()
        self._stop, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="nameserver", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop, and close everything."""
        self._stop.close()
        self._thread.join(10)
        for one in (self.udp, self.tcp, self._stopped):
            one.close()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            for one in (self.udp, self.tcp, self._stopped):
                selector.register(one, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if self._stopped in ready:
                    return
                with suppress(OSError):  # who asked has gone
                    if self.udp in ready:
                        self._answer_by_udp()
                    if self.tcp in ready:
                        self._answer_by_tcp()

    def _answer_by_udp(self) -> None:
        wire, asker = self.udp.recvfrom(65535)
        right = dns.message.make_response(dns.message.from_wire(wire))
        right.set_rcode(dns.rcode.NXDOMAIN)
        self.udp.sendto(wire[:2] + self.says[2:65000], asker)
        self.udp.sendto(right.to_wire(), asker)

    def _answer_by_tcp(self) -> None:
        connection, _ = self.tcp.accept()
        with connection, connection.makefile("rwb") as stream:
            connection.settimeout(_TRY_SECONDS)
            wire = stream.read(int.from_bytes(stream.read(2)))
            answer = wire[:2] + self.says[2:]
            stream.write(min(len(answer), 65535).to_bytes(2) + answer)


@contextmanager
def _opened() -> Iterator[Check]:
    nameserver = Nameserver()
    resolver = Resolver([Server("127.0.0.1", nameserver.udp.getsockname()[1])], try_seconds=_TRY_SECONDS)

    def check(data: bytes) -> Hashable:
        nameserver.says = data
        answer = resolver.ask(NAME, RecordType.TXT)
        if answer.outcome.silent:
            raise Broken(f"no end: {answer}")
        if answer.outcome is not Outcome.OK and answer.records:
            raise Broken(f"records of no answer: {answer}")
        listed_machines(answer)
        listed_words(answer)
        return answer.outcome, answer.over_tcp, min(len(answer.records), 2), answer.ttl_seconds is None

    try:
        yield check
    finally:
        nameserver.end()


TARGET = Target("resolver", _opened, 125)
