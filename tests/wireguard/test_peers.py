"""Names, addresses and files of WireGuard peers, without a network."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import pytest

from lab.errors import LabError
from lab.names import View, lookup
from lab.topology import Network
from lab.wireguard import peers, uapi

if TYPE_CHECKING:
    from lab.wireguard.peers import Peer

NETWORK = Network("personal", "fdaa:0:18")
KEY = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="  # 32 times "A"


def a_peer(name: str = "laptop", known: dict[str, Peer] | None = None) -> Peer:
    return peers.new_peer(NETWORK, known or {}, name, "ams", KEY)


def test_the_file_is_what_fly_wireguard_create_writes() -> None:
    peer = a_peer()
    text = peers.configuration("PRIVATE", peer, NETWORK, "PUBLIC", "203.0.113.1")
    assert text.split("\n") == [
        "",
        "[Interface]",
        "PrivateKey = PRIVATE",
        f"Address = {peer.six_pn}/120",
        "DNS = fdaa:0:18::3",
        "",
        "[Peer]",
        "PublicKey = PUBLIC",
        "AllowedIPs = fdaa:0:18::/48",
        "Endpoint = 203.0.113.1:51820",
        "PersistentKeepalive = 15",
        "",
        "",
    ]


def test_every_peer_has_a_120_of_its_own_in_the_gateways_prefix_until_none_is_left() -> None:
    known: dict[str, Peer] = {}
    for number in range(256):
        peer = a_peer(f"peer-{number}", known)
        known[peer.name] = peer
    gateway = ipaddress.IPv6Network(peers.addresses(NETWORK))
    own = {ipaddress.IPv6Network(f"{peer.six_pn}/120", strict=False) for peer in known.values()}
    assert len(own) == 256
    assert all(network.subnet_of(gateway) for network in own)
    assert str(gateway).startswith("fdaa:0:18:a7b:")
    with pytest.raises(LabError, match="256 peers already"):
        a_peer("one-more", known)
    freed = known.pop("peer-7")
    assert a_peer("one-more", known).six_pn == freed.six_pn


@pytest.mark.parametrize("name", ["", "-a", "a-", "a.b", "a b", "ü", "a\n", "x" * 64, "../a", "a;rm"])
def test_a_name_that_is_no_label_is_refused(name: str) -> None:
    with pytest.raises(LabError, match="letters, digits and dashes"):
        a_peer(name)


@pytest.mark.parametrize("region", ["", "AMS", "am", "amsx", "a\n1"])
def test_a_region_that_is_none_is_refused(region: str) -> None:
    with pytest.raises(LabError, match="three letters"):
        peers.new_peer(NETWORK, {}, "laptop", region, KEY)


def test_two_names_that_differ_in_case_only_are_one_name() -> None:
    with pytest.raises(LabError, match="already"):
        a_peer("LAPTOP", {"laptop": a_peer()})


def test_the_gateway_takes_from_a_peer_its_own_address_only() -> None:
    peer = a_peer()
    hexadecimal = "41" * 32
    assert uapi.gateway_settings(KEY, [peer]) == [
        f"private_key={hexadecimal}",
        "listen_port=51820",
        f"public_key={hexadecimal}",
        f"allowed_ip={peer.six_pn}/128",
    ]
    assert uapi.removal(peer) == [f"public_key={hexadecimal}", "remove=true"]


def test_the_names_tell_of_peers_but_not_of_those_that_flyctl_made_up() -> None:
    known = {"laptop": "fdaa::1", "interactive-host-me-7": "fdaa::2", "ci": "fdaa::3"}
    view = View({}, {}, {}, {}, "ams", "fdaa:0:18::3", known)
    listed = lookup(["_peer", "internal"], view, "ams")
    assert listed is not None
    assert listed.text == "ci,laptop"
    for name, address in known.items():
        found = lookup([name, "_peer", "internal"], view, "ams")
        assert found is not None, name
        assert found.addresses == (address,)
    assert lookup(["nobody", "_peer", "internal"], view, "ams") is None
