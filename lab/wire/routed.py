"""A private network whose router forwards, as on Fly: an address behind it is one hop away.

    Machine eth0 ── router (fdaa::3, gateways, the proxy's 172.16 address) ── edge (Flycast addresses)

The router drops what it has no route for, so an address nobody owns is silent, as between organisations.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lab import namespaces as ns
from lab.errors import RefusedError
from lab.start import ids
from lab.topology import PROXY_IPV4
from lab.wire.netlink import FIRST_INDEX, LOOPBACK, PEER_INDEX, Netlink, Peer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lab.topology import MachinePlan, Network

# IPv4 is for the host side alone; a fresh namespace forwards it where the host does.
_FORWARDING = (("net/ipv6/conf/all/forwarding", "1"), ("net/ipv4/ip_forward", "0"))
_ROUTER_EDGE_MAC = "02:00:00:00:00:01"
_EDGE_MAC = "02:00:00:00:00:02"
_GATEWAY_MAC = "02:00:00:00:01:01"
_MACHINE_MAC = "02:00:00:00:01:02"
_ROUTER_EDGE_IP = "fd00:0:0:1::1"
_EDGE_IP = "fd00:0:0:1::2"
_LARGEST_GROUP = 2**31 - 1  # GID_T_MAX of the kernel's ping sockets


def refusal() -> str:
    """Return the setting that the host refuses, with its errno, or nothing where it allows all that `lay` needs."""
    namespace = ns.new_network_namespace()
    try:
        with Netlink(namespace, (*_FORWARDING, *_machine_settings())):
            return ""
    except RefusedError as error:
        return str(error)
    finally:
        os.close(namespace)


def lay(network: Network, flycast: Iterable[str], machines: Mapping[int, tuple[MachinePlan, int]]) -> tuple[int, int]:
    """Make a network with `machines` and their namespaces, by the index of the router's interface to each.

    Return the namespaces of its router and of its edge.
    """
    router, edge = ns.new_network_namespace(), ns.new_network_namespace()
    settings = _machine_settings()
    with Netlink(router, _FORWARDING) as at_router, Netlink(edge) as at_edge:
        _join_router_and_edge(at_router, at_edge, network)
        for address in flycast:
            at_edge.add_address(LOOPBACK, address, 128)
            at_router.add_route(f"{address}/128", gateway=_EDGE_IP)
        for index, (machine, namespace) in machines.items():
            _join_machine(at_router, machine, namespace, index, settings)
    return router, edge


def _join_router_and_edge(router: Netlink, edge: Netlink, network: Network) -> None:
    router.add_veth("edge", FIRST_INDEX, _ROUTER_EDGE_MAC, Peer(edge.namespace, "router", _EDGE_MAC))
    router.send()
    edge.link_up(PEER_INDEX)
    router.add_address(FIRST_INDEX, _ROUTER_EDGE_IP, 64)
    router.neighbour(FIRST_INDEX, _EDGE_IP, _EDGE_MAC)
    edge.add_address(PEER_INDEX, _EDGE_IP, 64)
    edge.neighbour(PEER_INDEX, _ROUTER_EDGE_IP, _ROUTER_EDGE_MAC)
    edge.add_route("fdaa::/16", gateway=_ROUTER_EDGE_IP)
    for address in network.nameservers:
        router.add_address(LOOPBACK, address, 128)
    router.add_address(LOOPBACK, PROXY_IPV4, 32)
    router.add_route("fdaa::/16")


def _join_machine(
    router: Netlink, plan: MachinePlan, namespace: int, index: int, settings: Iterable[tuple[str, str]]
) -> None:
    with Netlink(namespace, settings) as machine:
        router.add_veth(f"vm{index}", index, _GATEWAY_MAC, Peer(namespace, "eth0", _MACHINE_MAC))
        for own, gateway, prefix in ((plan.ipv4, plan.gateway_ipv4, 29), (plan.private_ip, plan.gateway_ip, 112)):
            router.add_address(index, gateway, prefix)
            router.neighbour(index, own, _MACHINE_MAC)
        router.send()
        machine.link_up(PEER_INDEX)
        for own, gateway, prefix in ((plan.ipv4, plan.gateway_ipv4, 29), (plan.private_ip, plan.gateway_ip, 112)):
            machine.add_address(PEER_INDEX, own, prefix)
            machine.neighbour(PEER_INDEX, gateway, _GATEWAY_MAC)
            machine.add_route("::/0" if ":" in gateway else "0.0.0.0/0", gateway=gateway)


def _machine_settings() -> tuple[tuple[str, str], ...]:
    """Let every user that a Machine can have ping and bind low ports."""
    return (("net/ipv4/ping_group_range", f"0 {_last_group()}"), ("net/ipv4/ip_unprivileged_port_start", "0"))


def _last_group() -> int:
    """Return the lab's last group, or its first where the last has a lower number outside: that is what counts."""
    mapped = ids.extents(Path("/proc/self/gid_map").read_text("ascii"))
    inside, outside, count = mapped[-1]
    return min(inside + count - 1, _LARGEST_GROUP) if outside >= mapped[0][1] else 0
