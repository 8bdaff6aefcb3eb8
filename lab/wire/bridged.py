"""A private network on one bridge, for a host that lets nobody forward: all it needs is what a veth needs.

    Machine eth0 ── br0 (fdaa::3, gateways, the proxy's 172.16 address, Flycast addresses)

Every address is on the link, so the ttl of an answer is 64 instead of 63, and one that nobody owns is "no route to
host" after three neighbour solicitations, 3 s.  Other networks have other bridges, with nothing in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab import namespaces as ns
from lab.errors import LabError
from lab.topology import MACHINES_IPV4, PROXY_IPV4
from lab.wire.netlink import FIRST_INDEX, PEER_INDEX, Netlink, Peer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lab.topology import MachinePlan, Network

DIFFERENCES = (
    "the Flycast address answers ping with ttl 64, not 63",
    "an address that nobody has is 'no route to host' after 3 s, not silence",
    "only the shell Machine's root can ping, and only root can bind ports below 1024",
    "no --laptop: nobody may forward out of its tunnel",
)
_BRIDGE = FIRST_INDEX
_BRIDGE_MAC = "02:00:00:00:00:01"
_MOST_PORTS = 1023  # BR_MAX_PORTS of the kernel, less the one it keeps


def notice(because: str) -> str:
    """Return in one line that the networks are bridged, the refused setting for want of which, and what differs."""
    return f"bridge mode, because the host refused {because}: {'; '.join(DIFFERENCES)}"


def lay(network: Network, flycast: Sequence[str], machines: Mapping[int, tuple[MachinePlan, int]]) -> tuple[int, int]:
    """Make a network with `machines` and their namespaces, by the index of the bridge's port to each.

    Return the namespace of the bridge, twice because it is the edge, too.
    """
    if len(machines) > _MOST_PORTS:
        raise LabError(f"in bridge mode a network has at most {_MOST_PORTS} Machines, got {len(machines)}")
    shared = (*network.nameservers, *flycast)
    router = ns.new_network_namespace()
    with Netlink(router) as bridge:
        bridge.add_bridge("br0", _BRIDGE, _BRIDGE_MAC)
        for address in shared:
            bridge.add_address(_BRIDGE, address, 128)
        bridge.add_address(_BRIDGE, PROXY_IPV4, 32)
        bridge.add_route("fdaa::/16", index=_BRIDGE)
        for index, (machine, namespace) in machines.items():
            _join_machine(bridge, machine, namespace, index, shared)
    return router, router


def _join_machine(bridge: Netlink, plan: MachinePlan, namespace: int, index: int, shared: Sequence[str]) -> None:
    mac = f"02:00:00:01:{index >> 8:02x}:{index & 0xFF:02x}"
    with Netlink(namespace) as machine:
        bridge.add_veth(f"vm{index}", index, _BRIDGE_MAC, Peer(namespace, "eth0", mac), bridge=_BRIDGE)
        bridge.add_address(_BRIDGE, plan.gateway_ipv4, 29)
        bridge.neighbour(_BRIDGE, plan.ipv4, mac)
        bridge.neighbour(_BRIDGE, plan.private_ip, mac)
        bridge.send()
        machine.link_up(PEER_INDEX)
        machine.add_address(PEER_INDEX, plan.ipv4, 29)
        machine.add_address(PEER_INDEX, plan.private_ip, 112)
        machine.add_route("fdaa::/16", index=PEER_INDEX)
        for address in (plan.gateway_ipv4, *shared):
            machine.neighbour(PEER_INDEX, address, _BRIDGE_MAC)
        machine.add_route("0.0.0.0/0", gateway=plan.gateway_ipv4)
        machine.add_route(MACHINES_IPV4)  # nowhere: a host that forwards IPv4 would pass it on to other Machines
