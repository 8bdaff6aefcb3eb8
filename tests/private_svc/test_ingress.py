from __future__ import annotations

import tracemalloc
from ipaddress import ip_address, ip_network

import pytest

from private_svc.ingress import CALLERS_REMEMBERED, Caller, Classifier, Here, Ingress, refused

SIX_PN_PEER = "fdaa:0:18:a7b:7d:f066:b83b:2"
FLYCAST_CLIENT = "fdaa:0:18:a7b:d6b:0:a:2"
OURS = "fdaa:0:18:a7b:1:2:3:2"
HERE = Here((ip_network("172.16.0.0/12"),), frozenset([ip_address(OURS)]))
LOCAL = "::ffff:172.19.1.2"

HEADERS: tuple[tuple[str, ...], ...] = (
    (),
    (FLYCAST_CLIENT,),
    ("203.0.113.7",),
    ("2001:db8::1",),
    ("",),
    ("not an address",),
    (FLYCAST_CLIENT, "203.0.113.7"),
    (FLYCAST_CLIENT, FLYCAST_CLIENT),
    ("127.0.0.1",),
    ("::1",),
    ("172.16.0.1",),
    (f"{FLYCAST_CLIENT}%eth0",),
)
PEERS = {
    "127.0.0.1": Ingress.LOOPBACK,
    "::ffff:127.9.9.9": Ingress.LOOPBACK,
    "::1": Ingress.LOOPBACK,
    "172.19.1.2": Ingress.LOOPBACK,
    LOCAL: Ingress.LOOPBACK,
    OURS: Ingress.LOOPBACK,
    SIX_PN_PEER: Ingress.SIX_PN,
    "fdab::1": Ingress.UNKNOWN,
    "192.168.1.9": Ingress.UNKNOWN,
    "172.32.0.1": Ingress.UNKNOWN,
    "172.15.255.255": Ingress.UNKNOWN,
    "fe80::1%eth0": Ingress.UNKNOWN,
    "203.0.113.7": Ingress.UNKNOWN,
    "": Ingress.UNKNOWN,
}


def classified(peer: str, fly_client_ip: tuple[str, ...]) -> Caller:
    who = Classifier(HERE)
    return who.behind(who.of_peer(peer, lambda: (LOCAL,)), fly_client_ip)


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("headers", HEADERS)
def test_no_header_moves_a_caller_that_does_not_come_from_flys_host_side(peer: str, headers: tuple[str, ...]) -> None:
    caller = classified(peer, headers)
    assert caller.ingress is PEERS[peer]
    assert caller.client == peer.removeprefix("::ffff:")


@pytest.mark.parametrize("peer", ["172.16.3.4", "::ffff:172.16.3.4", "172.19.1.1", "172.31.255.255"])
@pytest.mark.parametrize("headers", HEADERS)
def test_from_flys_host_side_the_header_decides(peer: str, headers: tuple[str, ...]) -> None:
    plain = peer.removeprefix("::ffff:")
    expected = {
        (): Caller(Ingress.PLATFORM, plain),
        (FLYCAST_CLIENT,): Caller(Ingress.FLYCAST, FLYCAST_CLIENT),
        ("203.0.113.7",): Caller(Ingress.PUBLIC, "203.0.113.7"),
        ("2001:db8::1",): Caller(Ingress.PUBLIC, "2001:db8::1"),
        ("127.0.0.1",): Caller(Ingress.PUBLIC, "127.0.0.1"),
        ("::1",): Caller(Ingress.PUBLIC, "::1"),
        ("172.16.0.1",): Caller(Ingress.PUBLIC, "172.16.0.1"),
    }.get(headers, Caller(Ingress.PUBLIC, plain))
    assert classified(peer, headers) == expected


@pytest.mark.parametrize("peer", ["::ffff:172.16.3.4", SIX_PN_PEER, "203.0.113.7"])
def test_nothing_of_a_callers_size_is_remembered(peer: str) -> None:
    who = Classifier(HERE)
    caller = who.of_peer(peer, lambda: (LOCAL,))
    tracemalloc.start()
    try:
        for number in range(100):
            line = f"{number:08d}" * 1000
            who.behind(caller, (line,))
            who.behind(caller, (line,) * 100)
            who.behind(caller, tuple(f"{number}.{count}" for count in range(1000)))
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < 100_000


def test_a_private_service_turns_away_the_public_and_on_fly_those_of_unknown_origin() -> None:
    assert refused(private_only=True, on_fly=True) == {Ingress.PUBLIC, Ingress.UNKNOWN}
    assert refused(private_only=True, on_fly=False) == {Ingress.PUBLIC}
    assert refused(private_only=False, on_fly=True) == frozenset()


def test_peers_that_are_remembered_are_bounded_in_number_and_looked_at_once() -> None:
    who, looks = Classifier(HERE), []

    def getsockname() -> tuple[str, ...]:
        looks.append(LOCAL)
        return (LOCAL,)

    assert {who.of_peer(SIX_PN_PEER, getsockname).ingress for _ in range(3)} == {Ingress.SIX_PN}
    assert len(looks) == 1
    for number in range(2 * CALLERS_REMEMBERED):
        who.of_peer(f"fdaa::{number:x}", getsockname)
    assert who.of_peer(SIX_PN_PEER, getsockname).ingress is Ingress.SIX_PN
    assert len(looks) == 2 * CALLERS_REMEMBERED + 2, "it was forgotten"
