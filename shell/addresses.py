"""Addresses of Fly's private network, taken apart.

Rules (FLY_FACTS §1, §4)
- `fdaa` + 32 bits network + 32 bits host + 32 bits machine is a /112 for each Machine; the Machine is `…:2`.
- The first three groups are the organisation's network, a /48.
- `<network>:0:1::X` is a Flycast address; `<network>::3` and `fdaa::3` are nameservers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Address

_FLY_PREFIX = 0xFDAA
_NAMESERVER = 3


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

    def __str__(self) -> str:
        """Say the address in words."""
        parts = [f"network {self.network}"] if self.network else []
        if self.kind is AddressKind.SIX_PN:
            parts += [f"host {self.host}", f"machine {self.machine}"]
        return ", ".join([f"{self.kind}", *parts])


def take_apart(text: str) -> Address:
    """Return the parts of an IPv6 address; raise `ValueError` when it is not one."""
    address = IPv6Address(text)
    shown = str(address)
    if address.ipv4_mapped is not None:
        shown = f"::ffff:{address.ipv4_mapped}"
        kind = AddressKind.LOOPBACK if address.ipv4_mapped.is_loopback else AddressKind.OTHER
        return Address(shown, kind)
    groups = [int.from_bytes(address.packed[n : n + 2]) for n in range(0, 16, 2)]
    if groups[0] != _FLY_PREFIX:
        return Address(shown, AddressKind.LOOPBACK if address.is_loopback else AddressKind.OTHER)
    network = f"{IPv6Address(address.packed[:6] + bytes(10))}/48"
    rest = groups[3:]
    if rest == [0, 0, 0, 0, _NAMESERVER]:
        return Address(shown, AddressKind.NAMESERVER, network if any(groups[1:3]) else "")
    if rest[:4] == [0, 1, 0, 0]:
        return Address(shown, AddressKind.FLYCAST, network)
    host, machine = (f"{groups[n]:x}:{groups[n + 1]:x}" for n in (3, 5))
    return Address(shown, AddressKind.SIX_PN, network, host, machine)
