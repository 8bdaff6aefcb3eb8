"""A host that stands for the internet, and the edge with the public addresses that it can reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab import namespaces as ns
from lab.topology import INTERNET
from lab.wire.netlink import FIRST_INDEX, LOOPBACK, PEER_INDEX, Netlink, Peer

if TYPE_CHECKING:
    from collections.abc import Iterable

_HOST_MAC = "02:00:00:00:02:02"
_EDGE_MAC = "02:00:00:00:02:01"
_EDGE_IP = f"{INTERNET}::1"
_HOST_IP = f"{INTERNET}::2"


def join(public_addresses: Iterable[str]) -> tuple[int, int]:
    """Lay the cable between the two; return the namespaces of the host and of the edge."""
    namespace, front = ns.new_network_namespace(), ns.new_network_namespace()
    with Netlink(namespace) as host, Netlink(front) as edge:
        edge.add_veth("internet", FIRST_INDEX, _EDGE_MAC, Peer(namespace, "eth0", _HOST_MAC))
        edge.send()
        host.link_up(PEER_INDEX)
        edge.add_address(FIRST_INDEX, _EDGE_IP, 64)
        edge.neighbour(FIRST_INDEX, _HOST_IP, _HOST_MAC)
        host.add_address(PEER_INDEX, _HOST_IP, 64)
        host.neighbour(PEER_INDEX, _EDGE_IP, _EDGE_MAC)
        host.add_route("::/0", gateway=_EDGE_IP)
        for address in public_addresses:
            edge.add_address(LOOPBACK, address, 128)
    return namespace, front
