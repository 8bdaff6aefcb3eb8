"""The cables: network namespaces, veth pairs, addresses and routes.  Each organisation has these, and no more.

    Machine eth0 ── router (fdaa::3, gateways, the proxy's 172.16 address) ── edge (Flycast addresses)

Public addresses are on an edge of their own, linked to a host that stands for the internet.

Three rules keep the first packet fast and the isolation plain:

- Neighbours are permanent, both ways and both families.  Without that the first packet after link-up waits
  1 to 2 s for a neighbour solicitation that was lost before the other side listened.
- The router's end of a veth has an index from `FIRST_INDEX` on, so the two ends never share an ifindex; the
  kernel delays the carrier event when they do.
- The router drops what it has no route for, so an address nobody owns is silent, as between organisations.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pyroute2 import IPRoute

from lab import namespaces as ns
from lab.errors import RefusedError
from lab.topology import INTERNET, PROXY_IPV4

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.topology import MachinePlan, Network, Topology

FIRST_INDEX = 1000
_MACHINE_MTU = 1420  # what Fly's WireGuard mesh leaves
_LOOPBACK = 1  # ifindex of lo, in every namespace
_NO_DAD = 0x02  # IFA_F_NODAD: the address is usable at once
_ROUTER_EDGE_MAC = "02:00:00:00:00:01"
_EDGE_MAC = "02:00:00:00:00:02"
_GATEWAY_MAC = "02:00:00:00:01:01"
_MACHINE_MAC = "02:00:00:00:01:02"
_ROUTER_EDGE_IP = "fd00:0:0:1::1"
_EDGE_IP = "fd00:0:0:1::2"
_INTERNET_EDGE_IP = f"{INTERNET}::1"
_INTERNET_HOST_IP = f"{INTERNET}::2"


@dataclass(frozen=True, slots=True)
class Wiring:
    """Descriptors that keep the network namespaces alive; close them and the network is gone."""

    routers: dict[Network, int]
    edges: dict[str, int]  # by the Flycast or public address that is there
    internet: int | None
    machines: dict[str, int]

    @classmethod
    def lay(cls, topology: Topology) -> Self:
        """Make every namespace and cable of `topology`; `RefusedError` when the host refuses one."""
        routers: dict[Network, int] = {}
        edges: dict[str, int] = {}
        machines: dict[str, int] = {}
        indexes = count(FIRST_INDEX + 1)
        for shell in topology.shells:
            network = shell.network
            router, edge = ns.new_network_namespace(), ns.new_network_namespace()
            routers[network] = router
            flycast = [app.flycast_ip for app in topology.apps if app.flycast_network == network]
            edges |= dict.fromkeys(flycast, edge)
            own = [shell, *(machine for machine in topology.machines if machine.network == network)]
            with _Netlink(router) as at_router, _Netlink(edge) as at_edge:
                _join_router_and_edge(at_router, at_edge, network)
                for address in flycast:
                    _give_flycast_address(at_router, at_edge, address)
                machines |= {m.machine_id: _join_machine(at_router, m, next(indexes)) for m in own}
        internet = _join_internet(topology, edges) if topology.public else None
        return cls(routers, edges, internet, machines)


class _Netlink:
    """Configure the interfaces of one network namespace."""

    def __init__(self, namespace: int) -> None:
        self.namespace = namespace

    def __enter__(self) -> Self:
        with ns.inside(self.namespace):
            self.socket = IPRoute()
            self.set_sysctls((("net/ipv6/conf/all/accept_dad", "0"), ("net/ipv6/conf/default/accept_dad", "0")))
        self.socket.link("set", index=_LOOPBACK, state="up")
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def set_sysctls(self, settings: Iterable[tuple[str, str]]) -> None:
        with ns.inside(self.namespace):
            for name, value in settings:
                try:
                    Path("/proc/sys", name).write_text(value, "ascii")
                except OSError as error:
                    raise RefusedError(f"write /proc/sys/{name}", error.errno or 0) from error

    def add_address(self, index: int, address: str, prefix: int) -> None:
        flags = {"flags": _NO_DAD} if ":" in address else {}
        self.socket.addr("add", index=index, address=address, prefixlen=prefix, **flags)

    def link_up(self, index: int) -> None:
        self.socket.link("set", index=index, state="up")

    def neighbour(self, index: int, address: str, mac: str) -> None:
        self.socket.neigh("replace", dst=address, lladdr=mac, ifindex=index, state="permanent")

    def index_of(self, name: str) -> int:
        return int(self.socket.link_lookup(ifname=name)[0])


def _add_veth(at: _Netlink, name: str, index: int, mac: str, peer: dict[str, object]) -> None:
    at.socket.link("add", ifname=name, kind="veth", index=index, address=mac, mtu=_MACHINE_MTU, peer=peer)


def _join_router_and_edge(router: _Netlink, edge: _Netlink, network: Network) -> None:
    router.set_sysctls((("net/ipv6/conf/all/forwarding", "1"), ("net/ipv4/ip_forward", "1")))
    peer = {"ifname": "router", "net_ns_fd": edge.namespace, "address": _EDGE_MAC}
    _add_veth(router, "edge", FIRST_INDEX, _ROUTER_EDGE_MAC, peer)
    inner = edge.index_of("router")
    for side, index, address in ((router, FIRST_INDEX, _ROUTER_EDGE_IP), (edge, inner, _EDGE_IP)):
        side.add_address(index, address, 64)
        side.link_up(index)
    router.neighbour(FIRST_INDEX, _EDGE_IP, _EDGE_MAC)
    edge.neighbour(inner, _ROUTER_EDGE_IP, _ROUTER_EDGE_MAC)
    edge.socket.route("add", dst="fdaa::/16", gateway=_ROUTER_EDGE_IP)
    for address in network.nameservers:
        router.add_address(_LOOPBACK, address, 128)
    router.add_address(_LOOPBACK, PROXY_IPV4, 32)
    router.socket.route("add", dst="fdaa::/16", type="blackhole")


def _give_flycast_address(router: _Netlink, edge: _Netlink, flycast_ip: str) -> None:
    edge.add_address(_LOOPBACK, flycast_ip, 128)
    router.socket.route("add", dst=f"{flycast_ip}/128", gateway=_EDGE_IP)


def _join_internet(topology: Topology, edges: dict[str, int]) -> int:
    """Make a host outside every private network, and the edge with the public addresses that it can reach."""
    namespace, front = ns.new_network_namespace(), ns.new_network_namespace()
    with _Netlink(namespace) as host, _Netlink(front) as edge:
        peer = {"ifname": "eth0", "net_ns_fd": namespace, "address": _MACHINE_MAC}
        _add_veth(edge, "internet", FIRST_INDEX, _GATEWAY_MAC, peer)
        inner = host.index_of("eth0")
        ends = ((edge, FIRST_INDEX, _INTERNET_EDGE_IP), (host, inner, _INTERNET_HOST_IP))
        for side, index, address in ends:
            side.add_address(index, address, 64)
            side.link_up(index)
        edge.neighbour(FIRST_INDEX, _INTERNET_HOST_IP, _MACHINE_MAC)
        host.neighbour(inner, _INTERNET_EDGE_IP, _GATEWAY_MAC)
        host.socket.route("add", dst="::/0", gateway=_INTERNET_EDGE_IP)
        for app in topology.apps:
            edge.add_address(_LOOPBACK, app.public_ip, 128)
            edges[app.public_ip] = front
    return namespace


def _join_machine(router: _Netlink, plan: MachinePlan, index: int) -> int:
    namespace = ns.new_network_namespace()
    with _Netlink(namespace) as machine:
        machine.set_sysctls(_machine_sysctls())
        peer = {"ifname": "eth0", "net_ns_fd": namespace, "address": _MACHINE_MAC, "mtu": _MACHINE_MTU}
        _add_veth(router, f"vm{index}", index, _GATEWAY_MAC, peer)
        inner = machine.index_of("eth0")
        for address, gateway, prefix in (
            (plan.ipv4, plan.gateway_ipv4, 29),
            (plan.private_ip, plan.gateway_ip, 112),
        ):
            router.add_address(index, gateway, prefix)
            machine.add_address(inner, address, prefix)
        router.link_up(index)
        machine.link_up(inner)
        for address, gateway in ((plan.ipv4, plan.gateway_ipv4), (plan.private_ip, plan.gateway_ip)):
            router.neighbour(index, address, _MACHINE_MAC)
            machine.neighbour(inner, gateway, _GATEWAY_MAC)
            machine.socket.route("add", dst="::/0" if ":" in gateway else "0.0.0.0/0", gateway=gateway)
    return namespace


def _machine_sysctls() -> tuple[tuple[str, str], ...]:
    """Let any user ping and bind low ports; a user namespace of one id knows group 0 only."""
    groups = "0 2147483647" if _maps_every_group() else "0 0"
    return (("net/ipv4/ping_group_range", groups), ("net/ipv4/ip_unprivileged_port_start", "0"))


def _maps_every_group() -> bool:
    count = Path("/proc/self/gid_map").read_text("ascii").split()[2]
    return os.geteuid() == 0 and int(count) > 1
