"""Who is calling: the socket's peer decides, and only a peer on Fly's host side may add a header.

| peer                                    | Fly-Client-IP        | ingress  | client           |
|-----------------------------------------|----------------------|----------|------------------|
| loopback, or an address of our own      | ignored              | loopback | the peer         |
| in PLATFORM_NETWORKS                    | none                 | platform | the peer         |
| in PLATFORM_NETWORKS                    | one, in fdaa::/16    | flycast  | Fly-Client-IP    |
| in PLATFORM_NETWORKS                    | anything else        | public   | it, or the peer where it is no address |
| in fdaa::/16 (6PN, WireGuard)           | ignored: forged      | six_pn   | the peer         |
| anything else                           | ignored              | unknown  | the peer         |

Source: docs/fly.md, "Who is calling". X-Forwarded-For never decides: its first entries are the caller's own. A raw
connection through Fly Proxy is `platform`, unless a PROXY header names the client, which then counts as Fly-Client-IP.

What is remembered of callers is bounded in number and in size: no header value is kept that is longer than an address.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

SIX_PN = IPv6Network("fdaa::/16")
ADDRESS_AT_MOST = len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")
CALLERS_REMEMBERED = 1024


class Ingress(StrEnum):
    """How a connection came in."""

    __hash__ = str.__hash__  # what every answer is counted by; Enum's own is Python code

    FLYCAST = "flycast"
    PUBLIC = "public"
    PLATFORM = "platform"
    SIX_PN = "six_pn"
    LOOPBACK = "loopback"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Caller:
    """How somebody came in, and from which address."""

    ingress: Ingress
    client: str


@dataclass(frozen=True, slots=True)
class Here:
    """What must be known of this Machine to tell callers apart."""

    platform_networks: tuple[IPNetwork, ...]
    own_addresses: frozenset[IPAddress] = frozenset()


class Classifier:
    """Tells the callers of this Machine apart."""

    def __init__(self, here: Here) -> None:
        self._here = here
        self._peers: dict[str, Caller] = {}  # the first of them is forgotten first

    def of_peer(self, peer: str, getsockname: Callable[[], tuple[str, ...]]) -> Caller:
        """Return the caller as the socket alone tells; our own end of it is looked at once for each peer."""
        caller = self._peers.get(peer)
        if caller is None:
            caller = self._peers[peer] = of_peer(peer, getsockname()[0], self._here)
            if len(self._peers) > CALLERS_REMEMBERED:
                del self._peers[next(iter(self._peers))]
        return caller

    def behind(self, caller: Caller, fly_client_ip: tuple[str, ...]) -> Caller:
        """Return the caller for whom `caller` speaks, given every value of the header."""
        if caller.ingress is not Ingress.PLATFORM or not fly_client_ip:
            return caller
        return of_client(caller.client, _only(fly_client_ip))


def of_peer(peer: str, local: str, here: Here) -> Caller:
    """Return the caller whose socket runs from `peer` to `local`."""
    address = parse(peer)
    if address is None:
        return Caller(Ingress.UNKNOWN, peer)
    if address.is_loopback or address == parse(local) or address in here.own_addresses:
        return Caller(Ingress.LOOPBACK, str(address))
    if any(address in network for network in here.platform_networks):
        return Caller(Ingress.PLATFORM, str(address))
    return Caller(Ingress.SIX_PN if address in SIX_PN else Ingress.UNKNOWN, str(address))


@lru_cache(CALLERS_REMEMBERED)
def of_client(peer: str, fly_client_ip: str) -> Caller:
    """Return the caller for whom `peer`, on Fly's host side, says `fly_client_ip`."""
    client = parse(fly_client_ip)
    if client is not None and client in SIX_PN:
        return Caller(Ingress.FLYCAST, str(client))
    return Caller(Ingress.PUBLIC, str(client or peer))


def refused(*, private_only: bool, on_fly: bool) -> frozenset[Ingress]:
    """Return from where a private service refuses callers, on every port.

    On Fly every caller has a known origin. If Fly Proxy ever dials from an address outside PLATFORM_NETWORKS, its
    public callers are `unknown`: to serve them would open the service to the public without a word.
    """
    if not private_only:
        return frozenset()
    return frozenset({Ingress.PUBLIC, Ingress.UNKNOWN} if on_fly else {Ingress.PUBLIC})


def parse(text: str) -> IPAddress | None:
    """Return the address in `text`, the IPv4 address in an IPv4-mapped one; None for anything else, and with a zone."""
    if len(text) > ADDRESS_AT_MOST or "%" in text:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _only(values: tuple[str, ...]) -> str:
    """Return the one value of a header; "" where there are several, or where it is too long for an address."""
    return values[0] if len(values) == 1 and len(values[0]) <= ADDRESS_AT_MOST else ""
