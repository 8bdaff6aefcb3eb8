"""Who may come in by WireGuard: names, addresses, and the file a peer is given.  Pure.

Rules (docs/fly.md, "WireGuard", unless noted):

- A name is letters, digits and dashes.  One that flyctl makes up begins with `interactive-`; `_peer.internal` hides it.
- The peer's 6PN address is in the /48 of its network, its DNS server is that network's `::3`, and all of the /48 goes
  through the tunnel.  The address ends as on Fly: `a7b:<gateway>:0:a:<n>02`, a /120 for each peer.
- The gateway takes from a peer what comes from that one address, and nothing else (WireGuard's cryptokey routing).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.topology import Network

LAPTOP = "laptop"  # the peer, and the host, that `--laptop` gives every organisation
PORT = 51820
GENERATED = "interactive-"
_MOST_PEERS = 256
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_REGION = re.compile(r"[a-z]{3}")


@dataclass(frozen=True, slots=True)
class Peer:
    """Somebody who may come in: `public_key` proves who, `six_pn` is the address in the private network."""

    name: str
    region: str
    public_key: str
    six_pn: str


def new_peer(network: Network, known: Mapping[str, Peer], name: str, region: str, public_key: str) -> Peer:
    """Return a peer of `network` with a free address; raise `LabError` when it cannot be among the `known` ones."""
    if not _NAME.fullmatch(name):
        raise LabError(f"expected a peer name of at most 63 letters, digits and dashes, got {name[:99]!r}")
    if not _REGION.fullmatch(region):
        raise LabError(f"expected a region of three letters like ams, got {region[:99]!r}")
    if name.lower() in (other.lower() for other in known):
        raise LabError(f"organisation {network.name} has a peer {name!r} already; remove it, or take another name")
    taken = {peer.six_pn for peer in known.values()}
    for number in range(_MOST_PEERS):
        if (address := _address(network, number)) not in taken:
            return Peer(name, region, public_key, address)
    raise LabError(f"organisation {network.name} has {_MOST_PEERS} peers already; remove one first")


def addresses(network: Network) -> str:
    """Return the prefix that every peer's address of `network` is in."""
    return f"{_gateway_part(network)}:0/112"


def _address(network: Network, number: int) -> str:
    return f"{_gateway_part(network)}:{number << 8 | 2:x}"


def _gateway_part(network: Network) -> str:
    gateway = int(hashlib.sha256(network.name.encode()).hexdigest()[:3], 16)
    return f"{network.prefix}:a7b:{gateway:x}:0:a"


def configuration(private_key: str, peer: Peer, network: Network, gateway_public_key: str, gateway_ip: str) -> str:
    """Return the file for the peer, as `fly wireguard create` writes it."""
    return f"""
[Interface]
PrivateKey = {private_key}
Address = {peer.six_pn}/120
DNS = {network.nameservers[1]}

[Peer]
PublicKey = {gateway_public_key}
AllowedIPs = {network.prefix}::/48
Endpoint = {gateway_ip}:{PORT}
PersistentKeepalive = 15

"""
