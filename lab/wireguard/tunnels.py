"""The WireGuard side of a lab: for each organisation a gateway, its peers, and a laptop that is one of them."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Any

from lab.errors import LabError
from lab.wireguard import peers, uapi
from lab.wireguard.gateway import Gateway
from lab.wireguard.keys import new_key_pair
from lab.wireguard.laptop import PEER_FILE, Laptop
from lab.wireguard.peers import LAPTOP

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lab.children import Children
    from lab.ground import MachineProcess
    from lab.log import EventLog
    from lab.start.launcher import Launcher
    from lab.supervisor import Lab
    from lab.topology import Network
    from lab.wireguard.peers import Peer
    from lab.wireguard.segment import Ends


class Organisation:
    """What one organisation has of it."""

    def __init__(self, network: Network, region: str, ends: Ends) -> None:
        """Make the gateway's key; there is no peer yet."""
        self.network = network
        self.region = region
        self.ends = ends
        self.key = new_key_pair()
        self.peers: dict[str, Peer] = {}
        self.gateway: Gateway

    def add(self, name: str, region: str) -> tuple[Peer, str]:
        """Return a new peer and its configuration file; raise `LabError` when it cannot be."""
        key = new_key_pair()
        peer = peers.new_peer(self.network, self.peers, name, region or self.region, key.public)
        self.peers[peer.name] = peer
        text = peers.configuration(key.private, peer, self.network, self.key.public, self.ends.gateway_ip)
        return peer, text


class Tunnels:
    """Every gateway and laptop of a lab; `laptops` by the name that programs are run on them with."""

    def __init__(
        self,
        ends: Mapping[Network, Ends],
        routers: Mapping[Network, int],
        lab: Lab,
        launcher: Launcher,
        children: Children,
        log: EventLog,
    ) -> None:
        """Lay out one organisation for each network of `lab`, which is told of its peers whenever they change."""
        self._launcher = launcher
        self._children = children
        self._announce = lab.directory.announce_peers
        self._organisations: dict[str, Organisation] = {}
        self.laptops: dict[str, Laptop] = {}
        for number, shell in enumerate(lab.topology.shells):
            network = shell.network
            organisation = Organisation(network, shell.region, ends[network])
            organisation.gateway = Gateway(
                network, organisation.key,
                interface=f"wg{number}", internet=ends[network].gateway, router=routers[network],
                launch=self._launch, peers=organisation.peers.values, log=log,
                background=lab.background,
            )  # fmt: skip
            self._organisations[network.name] = organisation

    async def open(self, *, tunnel_up: bool) -> None:
        """Bring every gateway up and turn every laptop on, with its tunnel up or down."""
        laptops = await asyncio.gather(*map(self._open, self._organisations.values()))
        names = [f"{LAPTOP}.{organisation}" for organisation in self._organisations]
        self.laptops = {LAPTOP: laptops[0], **dict(zip(names, laptops, strict=True))}
        for name, laptop in zip([LAPTOP, *names[1:]], laptops, strict=True):
            await _prepare_tunnel(name, laptop, tunnel_up=tunnel_up)

    async def _open(self, organisation: Organisation) -> Laptop:
        _, configuration = organisation.add(LAPTOP, "")
        await organisation.gateway.open()
        self._tell(organisation)
        name = f"{LAPTOP}.{organisation.network.name}"
        return await Laptop.start(
            name, organisation.ends.laptop, configuration, launcher=self._launcher, children=self._children
        )

    async def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do what `flycast-lab wireguard` asks; raise `LabError` when that cannot be."""
        organisation = self._find(request["organisation"])
        known = {"organisation": organisation.network.name}
        match request["verb"]:
            case "list":
                return {**known, "peers": [_described(peer) for peer in organisation.peers.values()]}
            case "create":
                peer, configuration = organisation.add(request["name"], request["region"])
                try:
                    await organisation.gateway.configure(uapi.admission(peer))
                except LabError:
                    del organisation.peers[peer.name]
                    raise
                self._tell(organisation)
                return {**known, "peer": _described(peer), "configuration": configuration}
            case "remove":
                removed = self._remove(organisation, request["name"])
                await organisation.gateway.configure(uapi.removal(removed))
                self._tell(organisation)
                return {**known, "peer": _described(removed)}
            case "restart":
                await organisation.gateway.restart()
                return known
            case other:
                raise LabError(f"expected create, list, remove or restart, got {other!r}")

    def _find(self, name: str) -> Organisation:
        if not name:
            return next(iter(self._organisations.values()))
        if name not in self._organisations:
            raise LabError(f"no organisation {name!r}; there are: {', '.join(self._organisations)}")
        return self._organisations[name]

    def _remove(self, organisation: Organisation, name: str) -> Peer:
        if name not in organisation.peers:
            there = f"there are: {', '.join(organisation.peers)}" if organisation.peers else "it has none"
            raise LabError(f"organisation {organisation.network.name} has no peer {name!r}; {there}")
        return organisation.peers.pop(name)

    def _tell(self, organisation: Organisation) -> None:
        self._announce(organisation.network, tuple(organisation.peers.values()))

    async def _launch(
        self, argv: Sequence[str], env: Mapping[str, str], network: int, on_output: Callable[[str], None]
    ) -> MachineProcess:
        """Start a process of the lab's own, beside this one but in another network namespace."""
        from lab.ground import MachineProcess  # noqa: PLC0415 - ground imports the wiring
        from lab.output import LineReader  # noqa: PLC0415

        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        read, write = os.pipe2(os.O_CLOEXEC)
        try:
            launch = self._launcher.execute(
                None, argv, env, directory="/", streams=(null, write, write), network=network
            )
            pid, exit_status = await self._children.adopt(launch)
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(null)
            os.close(write)
        return MachineProcess(pid, exit_status, LineReader(read, on_output))


async def _prepare_tunnel(name: str, laptop: Laptop, *, tunnel_up: bool) -> None:
    command = f"wg-quick up {PEER_FILE}"
    if not tunnel_up:
        print(f"The tunnel of {name} is down; bring it up there with: {command}", file=sys.stderr, flush=True)
        return
    print(f"{name}$ {command}", file=sys.stderr, flush=True)
    await laptop.bring_tunnel_up()


def _described(peer: Peer) -> dict[str, str]:
    return {"name": peer.name, "region": peer.region, "peer_ip": peer.six_pn, "public_key": peer.public_key}
