"""Put a question to one nameserver: UDP first, TCP when the answer was truncated.

Rules
- A truncated answer is asked for again over TCP (RFC 7766 §5), however little of it can be read.
- A datagram that answers another question, or cannot be read, is passed over and the wait goes on (RFC 5452 §9.1);
  however many come, the wait ends in time. When nothing better came than one that cannot be read, the answer is
  garbled, and the question is not sent again.
- The UDP socket is connected, so that "nobody listens there" is told apart from silence.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dns.flags
import dns.inet
import dns.message

from shell.answers import Failure, Outcome
from shell.dns_message import read_message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shell.servers import Server

_UDP_TRIES = 2
_MOST_BYTES = 65535


@dataclass(frozen=True, slots=True)
class Reply:
    """A message that answers the question, whatever it says."""

    message: dns.message.Message
    over_tcp: bool


def exchange(query: dns.message.Message, server: Server, try_seconds: float) -> Reply | Failure:
    """Return the reply of the server; `try_seconds` bounds each of two UDP tries, and one TCP exchange."""
    try:
        answer = _over_udp(query, server, try_seconds)
    except OSError as error:
        return Failure(str(server), Outcome.UNREACHABLE, _reason(error))
    if isinstance(answer, Outcome):
        return Failure(str(server), answer)
    if not answer.flags & dns.flags.TC:
        return Reply(answer, over_tcp=False)
    try:
        wire = _over_tcp(query.to_wire(), server, time.monotonic() + try_seconds)
    except OSError as error:
        return Failure(str(server), Outcome.TRUNCATED, _reason(error))
    whole = read_message(wire)
    if whole is None or whole.errors or not query.is_response(whole):
        return Failure(str(server), Outcome.GARBLED)
    return Reply(whole, over_tcp=True)


def _over_udp(query: dns.message.Message, server: Server, try_seconds: float) -> dns.message.Message | Outcome:
    with socket.socket(dns.inet.af_for_address(server.host), socket.SOCK_DGRAM) as udp:
        udp.connect(dns.inet.low_level_address_tuple((server.host, server.port)))
        for _ in range(_UDP_TRIES):
            udp.send(query.to_wire())
            garbled = False
            for wire in _datagrams(udp, time.monotonic() + try_seconds):
                answer = read_message(wire)
                if answer is None or (answer.errors and not answer.flags & dns.flags.TC):
                    garbled = True
                elif query.is_response(answer):
                    return answer
            if garbled:
                return Outcome.GARBLED
    return Outcome.TIMEOUT


def _datagrams(udp: socket.socket, deadline_s: float) -> Iterator[bytes]:
    while (left_seconds := deadline_s - time.monotonic()) > 0:
        udp.settimeout(left_seconds)
        try:
            yield udp.recv(_MOST_BYTES)
        except TimeoutError:
            return


def _over_tcp(wire: bytes, server: Server, deadline_s: float) -> bytes:
    """Return the bytes of the answer; raise `OSError` when none comes, `TimeoutError` when it is late."""
    with socket.socket(dns.inet.af_for_address(server.host), socket.SOCK_STREAM) as tcp:
        tcp.settimeout(_seconds_left(deadline_s))
        tcp.connect(dns.inet.low_level_address_tuple((server.host, server.port)))
        tcp.sendall(len(wire).to_bytes(2) + wire)
        return _receive(tcp, int.from_bytes(_receive(tcp, 2, deadline_s)), deadline_s)


def _receive(tcp: socket.socket, size: int, deadline_s: float) -> bytes:
    received = b""
    while len(received) < size:
        tcp.settimeout(_seconds_left(deadline_s))
        piece = tcp.recv(size - len(received))
        if not piece:
            raise ConnectionError("connection closed before the whole answer")
        received += piece
    return received


def _seconds_left(deadline_s: float) -> float:
    left_seconds = deadline_s - time.monotonic()
    if left_seconds <= 0:
        raise TimeoutError("timed out")
    return left_seconds


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
