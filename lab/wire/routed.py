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
from lab.topology import PROXY_IPV4
from lab.wire.netlink import FIRST_INDEX, LOOPBACK, PEER_INDEX, Netlink, Peer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lab.topology import MachinePlan, Network

_FORWARDING = (("net/ipv6/conf/all/forwarding", "1"), ("net/ipv4/ip_forward", "1"))
_ROUTER_EDGE_MAC = "02:00:00:00:00:01"
_EDGE_MAC = "02:00:00:00:00:02"
_GATEWAY_MAC = "02:00:00:00:01:01"
_MACHINE_MAC = "02:00:00:00:01:02"
_ROUTER_EDGE_IP = "fd00:0:0:1::1"
_EDGE_IP = "fd00:0:0:1::2"


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


def lay(
    network: Network, flycast: Iterable[str], machines: Mapping[int, MachinePlan]
) -> tuple[int, int, dict[str, int]]:
    """Make a network with `machines`, by the index of the router's interface to each.

    Return the namespaces of its router, of its edge and, by id, of its Machines.
    """
    router, edge = ns.new_network_namespace(), ns.new_network_namespace()
    settings = _machine_settings()
    with Netlink(router, _FORWARDING) as at_router, Netlink(edge) as at_edge:
        _join_router_and_edge(at_router, at_edge, network)
        for address in flycast:
            at_edge.add_address(LOOPBACK, address, 128)
            at_router.add_route(f"{address}/128", gateway=_EDGE_IP)
        namespaces = {
            machine.machine_id: _join_machine(at_router, machine, index, settings)
            for index, machine in machines.items()
        }
    return router, edge, namespaces


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


def _join_machine(router: Netlink, plan: MachinePlan, index: int, settings: Iterable[tuple[str, str]]) -> int:
    namespace = ns.new_network_namespace()
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
    return namespace


def _machine_settings() -> tuple[tuple[str, str], ...]:
    """Let any user ping and bind low ports; a user namespace of one id knows group 0 only."""
    groups = "0 2147483647" if _maps_every_group() else "0 0"
    return (("net/ipv4/ping_group_range", groups), ("net/ipv4/ip_unprivileged_port_start", "0"))


def _maps_every_group() -> bool:
    count = Path("/proc/self/gid_map").read_text("ascii").split()[2]
    return os.geteuid() == 0 and int(count) > 1
