"""The internet between laptops and gateways: one switch, which everybody is plugged into.

    laptop eth0 (198.51.100.x) ── switch ── eth0 (203.0.113.x) gateway

The addresses are those that RFC 5737 keeps for documentation.  Nothing here leads to a private network: of that, a
gateway has only the UDP socket of its WireGuard.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import count
from typing import TYPE_CHECKING

from lab import namespaces as ns
from lab.wire.netlink import PEER_INDEX, Netlink, Peer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.start.launcher import OwnNetwork
    from lab.topology import Network

_MTU = 1500
_FIRST_INDEX = 1000
_SWITCH_MAC = "02:00:00:00:03:01"  # set by hand: it would change whenever somebody is plugged in
_GATEWAYS = IPv4Address("203.0.113.0")
_LAPTOPS = IPv4Address("198.51.100.0")


@dataclass(frozen=True, slots=True)
class Ends:
    """The two hosts of one organisation: their network namespaces, and the gateway's address."""

    gateway: int
    gateway_ip: str
    laptop: OwnNetwork


def lay(networks: Iterable[Network], owned: Iterable[OwnNetwork]) -> dict[Network, Ends]:
    """Make the switch, and plug in a gateway and a laptop for each network; `owned` are the laptops'."""
    ends: dict[Network, Ends] = {}
    indexes = count(_FIRST_INDEX + 1)
    with Netlink(ns.new_network_namespace()) as switch:
        switch.add_bridge("switch", _FIRST_INDEX, _SWITCH_MAC, mtu=_MTU)
        for number, (network, laptop) in enumerate(zip(networks, owned, strict=True), start=1):
            gateway, gateway_ip = ns.new_network_namespace(), str(_GATEWAYS + number)
            _plug_in(switch, gateway, next(indexes), gateway_ip)
            _plug_in(switch, laptop.network, next(indexes), str(_LAPTOPS + number))
            ends[network] = Ends(gateway, gateway_ip, laptop)
    return ends


def _plug_in(switch: Netlink, namespace: int, index: int, address: str) -> None:
    with Netlink(namespace) as host:
        peer = Peer(namespace, "eth0", f"02:00:00:03:{index >> 8:02x}:{index & 0xFF:02x}")
        switch.add_veth(f"port{index}", index, _SWITCH_MAC, peer, bridge=_FIRST_INDEX, mtu=_MTU)
        switch.send()
        host.link_up(PEER_INDEX)
        host.add_address(PEER_INDEX, address, 32)
        host.add_route("0.0.0.0/0", index=PEER_INDEX)
