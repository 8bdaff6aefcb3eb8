"""The cables: network namespaces, veth pairs, addresses and routes.

Each organisation has a network of its own; public addresses are on an edge of their own, linked to a host that stands
for the internet.  Two rules keep the first packet fast:

- Neighbours are permanent, both ways and both families.  Without that the first packet after link-up waits
  1 to 2 s for a neighbour solicitation that was lost before the other side listened.
- One end of a veth has an index from 1000 on, so the two ends never share an ifindex; the kernel delays the carrier
  event when they do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from lab.wire import bridged, internet, routed
from lab.wire.netlink import FIRST_INDEX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.start.launcher import OwnNetwork
    from lab.topology import Network, Topology


@dataclass(frozen=True, slots=True)
class Wiring:
    """Descriptors that keep the network namespaces alive; close them and the network is gone."""

    routers: dict[Network, int]
    edges: dict[str, int]  # by the Flycast or public address that is there
    internet: int | None
    machines: dict[str, OwnNetwork]
    ports: dict[str, int]  # the index of the interface to a Machine, in the router of its network
    bridged_because: str  # the refused setting for want of which the networks are bridged; else empty

    @classmethod
    def lay(cls, topology: Topology, owned: Iterable[OwnNetwork]) -> Self:
        """Make every cable of `topology`, routed where the host allows, else bridged.

        `owned` are for its Machines and then its shell Machines.  Raises `RefusedError` when the host refuses what both
        ways need.
        """
        refused = routed.refusal()
        mode = bridged if refused else routed
        routers: dict[Network, int] = {}
        edges: dict[str, int] = {}
        plans = (*topology.machines, *topology.shells)
        machines = dict(zip((plan.machine_id for plan in plans), owned, strict=True))
        ports: dict[str, int] = {}
        for shell in topology.shells:
            network = shell.network
            flycast = [app.flycast_ip for app in topology.apps if app.flycast_network == network]
            own = [shell, *(machine for machine in topology.machines if machine.network == network)]
            ends = [(machine, machines[machine.machine_id].network) for machine in own]
            cables = dict(enumerate(ends, FIRST_INDEX + 1))
            ports |= {machine.machine_id: index for index, (machine, _) in cables.items()}
            routers[network], edge = mode.lay(network, flycast, cables)
            edges |= dict.fromkeys(flycast, edge)
        outside = None
        if topology.public:
            public = [app.public_ip for app in topology.apps]
            outside, front = internet.join(public)
            edges |= dict.fromkeys(public, front)
        return cls(routers, edges, outside, machines, ports, refused)
