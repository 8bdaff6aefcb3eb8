"""Who is calling: the socket's peer decides, and only a peer on Fly's host side may add a header.

| peer                                    | Fly-Client-IP        | ingress  | client           |
|-----------------------------------------|----------------------|----------|------------------|
| loopback, or an address of our own      | ignored              | loopback | the peer         |
| in PLATFORM_NETWORKS                    | none                 | platform | the peer         |
| in PLATFORM_NETWORKS                    | one, in fdaa::/16    | flycast  | Fly-Client-IP    |
| in PLATFORM_NETWORKS                    | anything else        | public   | it, if it parses |
| in fdaa::/16 (6PN, WireGuard)           | ignored: forged      | six_pn   | the peer         |
| anything else                           | ignored              | unknown  | the peer         |

Source: FLY_FACTS section 3; DESIGN "Way in". X-Forwarded-For is never believed: Fly Proxy appends to it, so its first
entry is the caller's to choose. A raw connection has no headers, so one through Fly Proxy shows as `platform`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache, partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

SIX_PN = IPv6Network("fdaa::/16")


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


Classifier = Callable[[str, str, tuple[str, ...]], Caller]


def classifier(here: Here) -> Classifier:
    """Return `classify` for this Machine, quick for callers it has seen lately."""
    return lru_cache(maxsize=1024)(partial(classify, here=here))


def classify(peer: str, local: str, fly_client_ip: tuple[str, ...], here: Here) -> Caller:
    """Return the caller whose socket runs from `peer` to `local`; `fly_client_ip` holds every value of that header."""
    address = parse(peer)
    if address is None:
        return Caller(Ingress.UNKNOWN, peer)
    if address.is_loopback or address == parse(local) or address in here.own_addresses:
        return Caller(Ingress.LOOPBACK, str(address))
    if any(address in network for network in here.platform_networks):
        return _through_platform(address, fly_client_ip)
    return Caller(Ingress.SIX_PN if address in SIX_PN else Ingress.UNKNOWN, str(address))


def _through_platform(peer: IPAddress, fly_client_ip: tuple[str, ...]) -> Caller:
    if not fly_client_ip:
        return Caller(Ingress.PLATFORM, str(peer))
    client = parse(fly_client_ip[0]) if len(fly_client_ip) == 1 else None
    if client is not None and client in SIX_PN:
        return Caller(Ingress.FLYCAST, str(client))
    return Caller(Ingress.PUBLIC, str(client or peer))


def refused(*, private_only: bool, on_fly: bool) -> frozenset[Ingress]:
    """Return which callers a private service turns away, on every port.

    On Fly every caller has a known origin. If Fly Proxy ever dials from an address outside PLATFORM_NETWORKS, its
    public callers are `unknown`: to serve them would open the service to the public without a word.
    """
    if not private_only:
        return frozenset()
    return frozenset({Ingress.PUBLIC, Ingress.UNKNOWN} if on_fly else {Ingress.PUBLIC})


def parse(text: str) -> IPAddress | None:
    """Return the address in `text`, an IPv4 one out of its IPv6 clothes, or None."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address
