"""The PROXY preface: who is behind a raw connection, told to the Machine before the client's own bytes.  Pure.

Source: docs/fly.md, "Who is calling", handler `proxy_proto`; the PROXY protocol's specification, sections 2.1 and 2.2.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

from proxyprotocol.result import ProxyResultIPv4, ProxyResultIPv6
from proxyprotocol.v1 import ProxyProtocolV1
from proxyprotocol.v2 import ProxyProtocolV2

_VERSIONS = {"v1": ProxyProtocolV1(), "v2": ProxyProtocolV2()}


def preface(version: str, client: tuple[str, int], dialled: tuple[str, int]) -> bytes:
    """Return the preface in `version` v1 or v2 for a `client` that dialled an address and port of its family."""
    result: ProxyResultIPv4 | ProxyResultIPv6
    match ip_address(client[0]), ip_address(dialled[0]):
        case IPv4Address() as source, IPv4Address() as target:
            ends4 = (source, client[1]), (target, dialled[1])
            result = ProxyResultIPv4(*ends4, protocol=socket.SOCK_STREAM)
        case IPv6Address() as source, IPv6Address() as target:
            ends6 = (source, client[1]), (target, dialled[1])
            result = ProxyResultIPv6(*ends6, protocol=socket.SOCK_STREAM)
        case _:
            raise ValueError(f"expected two addresses of one family, got {client[0]} and {dialled[0]}")
    return _VERSIONS[version].pack(result)
