"""The PROXY preface (the specification calls it the header): Fly Proxy says in it who is behind a raw connection.

Source: the PROXY protocol specification, versions 1 and 2; the handler `proxy_proto` of docs/fly.md, "Proxy". A version
1 line has at most 107 bytes. Version 2 may carry extensions of up to 64 KiB; nobody needs them here, so a preface that
is longer than `AT_MOST` is no preface. Whatever follows the preface is the caller's, and stays unread here.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from proxyprotocol.v1 import ProxyProtocolV1
from proxyprotocol.v2 import ProxyProtocolV2

AT_MOST = 1024
V1_AT_MOST = 107
V1_START = b"PROXY "
V1_LINE = re.compile(rb"PROXY (UNKNOWN.*|TCP(4( [\d.]+){2}|6( [\dA-Fa-f.:]+){2})( \d{1,5}){2})\r\n")
V2_START = b"\r\n\r\n\x00\r\nQUIT\n"
V2_HEAD = 16


class PrefaceError(ValueError):
    """What came is not a PROXY preface."""


@dataclass(frozen=True, slots=True)
class Preface:
    """Who is behind the connection, and the address they dialled; empty for the proxy's own connections."""

    source: str = ""
    destination: str = ""


def read(data: bytes) -> tuple[Preface, int] | None:
    """Return the preface that `data` begins with and its length, None while more has to come; raise `PrefaceError`."""
    try:
        if data.startswith(V1_START):
            return _version_1(data)
        if data.startswith(V2_START):
            return _version_2(data)
    except (ValueError, struct.error) as error:
        raise PrefaceError(str(error)) from error
    if V1_START.startswith(data) or V2_START.startswith(data):
        return None
    raise PrefaceError("expected PROXY or its binary signature")


def _version_1(data: bytes) -> tuple[Preface, int] | None:
    end = data.find(b"\r\n", 0, V1_AT_MOST) + 2
    if end >= len(V1_START):
        if V1_LINE.fullmatch(data, 0, end) is None:  # int() and IPv6Address take more than the specification has
            raise PrefaceError("expected UNKNOWN, or TCP4 or TCP6 with two addresses and two ports")
        return _preface(ProxyProtocolV1().unpack_line(data[:end])), end
    if len(data) >= V1_AT_MOST:
        raise PrefaceError(f"expected the end of the line within {V1_AT_MOST} bytes")
    return None


def _version_2(data: bytes) -> tuple[Preface, int] | None:
    if len(data) < V2_HEAD:
        return None
    end = V2_HEAD + ProxyProtocolV2().unpack_header(data[:V2_HEAD]).data_len
    if end > AT_MOST:
        raise PrefaceError(f"expected at most {AT_MOST} bytes, got {end} announced")
    return (_preface(ProxyProtocolV2().unpack(data[:end])), end) if len(data) >= end else None


def _preface(result: object) -> Preface:
    source, destination = getattr(result, "source", None), getattr(result, "dest", None)
    if not isinstance(source, tuple) or not isinstance(destination, tuple):  # LOCAL, UNKNOWN, a Unix socket
        return Preface()
    return Preface(str(source[0]), str(destination[0]))
