"""Addresses of Fly's private network, taken apart.

Rules (docs/fly.md, "Addresses" and "DNS")
- `fdaa` + 32 bits network + 32 bits host + 32 bits machine is a /112 for each Machine; the Machine is `…:2`.
- The first three groups are the organisation's network, a /48.
- `<network>:0:1::X` is a Flycast address; `<network>::3` and `fdaa::3` are nameservers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Address

_FLY_PREFIX = 0xFDAA
_NAMESERVER_END, _FLYCAST_MIDDLE = [0, 0, 0, 0, 3], [0, 1, 0, 0]


class AddressKind(StrEnum):
    """What an address stands for."""

    SIX_PN = "6PN address"
    FLYCAST = "Flycast address"
    NAMESERVER = "nameserver"
    LOOPBACK = "loopback"
    OTHER = "not a private-network address"


@dataclass(frozen=True, slots=True)
class Address:
    """An IPv6 address and its parts; the parts that its kind does not have are empty."""

    text: str
    kind: AddressKind
    network: str = ""
    host: str = ""
    machine: str = ""


def take_apart(text: str) -> Address:
    """Return the parts of an IPv6 address; raise `ValueError` when it is not one."""
    address = IPv6Address(text)
    mapped = address.ipv4_mapped
    shown = f"::ffff:{mapped}" if mapped else str(address)
    groups = [int.from_bytes(address.packed[n : n + 2]) for n in range(0, 16, 2)]
    if groups[0] != _FLY_PREFIX:
        return Address(shown, AddressKind.LOOPBACK if (mapped or address).is_loopback else AddressKind.OTHER)
    network = f"{IPv6Address(address.packed[:6] + bytes(10))}/48"
    if groups[3:] == _NAMESERVER_END:
        return Address(shown, AddressKind.NAMESERVER, network if any(groups[1:3]) else "")
    if groups[3:7] == _FLYCAST_MIDDLE:
        return Address(shown, AddressKind.FLYCAST, network)
    host, machine = (f"{groups[n]:x}:{groups[n + 1]:x}" for n in (3, 5))
    return Address(shown, AddressKind.SIX_PN, network, host, machine)
