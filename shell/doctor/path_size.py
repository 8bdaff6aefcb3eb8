"""How large a packet may be on the way through the tunnel: found by size, with padded questions to its nameserver.

Rules
- A question is made as long as wanted with the option Padding (RFC 7830 §3); who does not know it ignores it
  (RFC 6891 §6.1.2). An IPv6 packet has 40 bytes of header, a UDP datagram 8 more.
- A datagram that brings no answer proves little by itself: a nameserver need not take large ones. A TCP connection that
  opens, and then carries no more than small segments, is the black hole (RFC 8899 §1).
- What comes back is as large as the sender likes, up to the segment size that TCP was told here at the start, which is
  the packet less 60 bytes of headers (RFC 6691 §2). Windows does not let a program choose it.
- IPv6 asks 1280 bytes of every path (RFC 8200 §5).
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import dns.edns
import dns.exception
import dns.inet
import dns.message
import dns.query

if TYPE_CHECKING:
    from collections.abc import Callable

    from shell.servers import Server

_HEADER_BYTES, _TCP_HEADER_BYTES = 48, 60
_ANSWER_BYTES, _MOST_BYTES = 1232, 65535
_OPTION_BYTES = 4
_TRIES = 2
_SEGMENTS = 3
_STREAM_SECONDS = 1.5  # shorter than a nameserver waits for the rest of a question


def largest(passes: Callable[[int], bool], least: int, most: int) -> int:
    """Return the largest size from `least` to `most` that passes, if each smaller one does; 0 when none does."""
    if not passes(least):
        return 0
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (middle, most) if passes(middle) else (least, middle - 1)
    return least


def padded_query(message_bytes: int) -> dns.message.Message:
    """Return a question of just so many bytes, or of the fewest it can have."""
    plain = len(_query().to_wire())
    padding = bytes(max(0, message_bytes - plain - _OPTION_BYTES))
    return _query(dns.edns.GenericOption(dns.edns.OptionType.PADDING, padding))


def datagram_passes(server: Server, packet_bytes: int, wait_seconds: float) -> bool:
    """Tell whether a datagram that fills a packet of this size is answered; it is sent twice, with a wait each."""
    query = padded_query(packet_bytes - _HEADER_BYTES)
    with socket.socket(dns.inet.af_for_address(server.host), socket.SOCK_DGRAM) as udp:
        udp.setblocking(False)
        for _ in range(_TRIES):
            try:
                dns.query.udp(
                    query, server.host, wait_seconds, server.port, sock=udp, ignore_unexpected=True, ignore_errors=True
                )
            except (dns.exception.DNSException, OSError):  # silence, or the system refuses to send as much
                continue
            return True
    return False


def stream_passes(server: Server, packet_bytes: int) -> bool | None:
    """Tell whether TCP carries segments that fill packets of this size; None when the server ends it or never began."""
    query = padded_query(_SEGMENTS * packet_bytes)
    try:
        with socket.create_connection((server.host, server.port), _STREAM_SECONDS) as connection:
            connection.setblocking(False)
            dns.query.tcp(query, server.host, _STREAM_SECONDS, server.port, sock=connection, ignore_trailing=True)
    except dns.exception.Timeout:
        return False
    except (dns.exception.DNSException, EOFError, OSError):
        return None
    return True


def narrow_opener(packet_bytes: int) -> Callable[[str, int, float], socket.socket]:
    """Return what connects over IPv6 so that no packet of the connection, either way, is larger."""

    def connect(address: str, port: int, timeout_seconds: float) -> socket.socket:
        connection = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout_seconds)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, packet_bytes - _TCP_HEADER_BYTES)
            connection.connect((address, port))
        except OSError:
            connection.close()
            raise
        return connection

    return connect


def _query(*options: dns.edns.Option) -> dns.message.Message:
    return dns.message.make_query(
        "_apps.internal", "TXT", use_edns=0, payload=_ANSWER_BYTES, request_payload=_MOST_BYTES, options=list(options)
    )
