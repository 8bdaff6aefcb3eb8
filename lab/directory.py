"""What the names of each private network answer from, kept until a Machine or a peer changes."""

from __future__ import annotations

import time
from functools import partial
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from lab.dns_faults import Past
from lab.names import MachineRecord, View

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lab.faults import Faults
    from lab.log import EventLog
    from lab.topology import MachinePlan, Network, Topology
    from lab.wireguard.peers import Peer


class Directory:
    """The names of every network, as they are now and, with the fault stale-dns, as they were."""

    def __init__(
        self,
        topology: Topology,
        regions: Mapping[str, str],
        is_started: Callable[[str], bool],
        faults: Faults,
        log: EventLog,
    ) -> None:
        """Tell of `topology`; `regions` has the region of each 6PN address, `is_started` knows Machines by their id."""
        self._topology = topology
        self._regions = regions
        self._is_started = is_started
        self._faults = faults
        self._log = log
        self._views: dict[Network, View] = {}
        self._pasts: list[Past[View]] = []
        self._peers: dict[Network, Sequence[Peer]] = {}

    def of(self, network: Network) -> Past[View]:
        """Return what answers for `network`, now or as the fault has it."""
        past = Past(partial(self._view, network), self._faults.stale_dns_seconds, time.monotonic, self._log)
        self._pasts.append(past)
        return past

    def changed(self) -> None:
        """Take note that a Machine has changed."""
        self._views.clear()
        for past in self._pasts:
            past.note()

    def faults_changed(self) -> None:
        """Take note that faults were switched."""
        for past in self._pasts:
            past.seconds = self._faults.stale_dns_seconds

    def announce_peers(self, network: Network, peers: Sequence[Peer]) -> None:
        """Let the names of `network` tell of these WireGuard peers."""
        self._peers[network] = peers
        self.changed()

    def _view(self, network: Network) -> View:
        if network not in self._views:
            self._views[network] = self._look(network)
        return self._views[network]

    def _look(self, network: Network) -> View:
        apps = self._topology.apps
        plans = [plan for plan in (*self._topology.shells, *self._topology.machines) if plan.network == network]
        peers = self._peers.get(network, ())
        return View(
            apps={app.name: tuple(map(self._record, app.machines)) for app in apps if app.network == network},
            flycast={app.name: app.flycast_ip for app in apps if network in (app.network, app.flycast_network)},
            public={app.name: app.public_ip for app in apps if app.public_ip},
            regions={**self._regions, **{str(IPv6Address(peer.six_pn)): peer.region for peer in peers}},
            home_region=plans[0].region,
            api_ip=network.nameservers[-1],
            peers={peer.name.lower(): peer.six_pn for peer in peers},
        )

    def _record(self, plan: MachinePlan) -> MachineRecord:
        started = self._is_started(plan.machine_id)
        return MachineRecord(plan.machine_id, plan.region, plan.private_ip, plan.metadata, started)
