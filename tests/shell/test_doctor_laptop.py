"""The rungs of a laptop against scripted nameservers on loopback; the tunnel itself is tests/wireguard's."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from shell.answers import Answer, Outcome, RecordType
from shell.doctor.faults import Fault
from shell.doctor.finding import Verdict
from shell.doctor.interfaces import (
    OwnAddress,
    last_handshake,
    mtu_of,
    own_addresses,
    parse_handshakes,
    parse_if_inet6,
    source_towards,
    traffic_of,
)
from shell.doctor.laptop import Around, Laptop, climb, wanted_networks
from shell.doctor.path_size import datagram_passes, largest, narrow_opener, padded_query, stream_passes
from shell.doctor.tunnel import is_laptop
from shell.resolve import Resolver
from shell.servers import FLY_NAMESERVER, Server
from shell.wireguard import parse_peer_file
from tests.shell.scripted_dns import ScriptedDns, records, silence
from tests.shell.test_doctor_laptop_file import AS_FLY_WRITES_IT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import dns.message

    from shell.doctor.finding import Finding

PEER = OwnAddress("fdaa:0:18:a7b:d6b:0:a:2", "laptop", 120)
OTHER = OwnAddress("fdaa:0:19:a7b:d6b:0:a:2", "other", 120)
MACHINE = OwnAddress("fdaa:0:18:a7b:7d:f066:b83b:2", "eth0", 112)
TUNNELS, OTHERS, PUBLIC = Server("fdaa:0:18::3"), Server("fdaa:0:19::3"), Server("192.0.2.53")
FILE = parse_peer_file(AS_FLY_WRITES_IT, "laptop.conf", 0o600)
APPS = ("_apps.internal", "TXT")
IF_INET6 = """\
00000000000000000000000000000001 01 80 10 80       lo
fdaa000000180a7b0d6b0000000a0002 05 78 00 80   laptop
fdaa0000001800000001000000000007 05 80 00 80       lo
fe80000000000000d80f1ffffe1a0001 02 40 20 80     eth0
nonsense
"""
NOW = 1_800_000_000.0


@dataclass
class World:
    """What stands around a laptop: who answers at which address, and what the system tells."""

    servers: dict[str, ScriptedDns]
    handshake: int | None = None
    traffic: list[tuple[int, int]] = field(default_factory=list)
    mtu: int = 1420
    path: int = 1420
    streams: bool | None = True
    source: str = "2001:db8::7"
    sent: list[int] = field(default_factory=list)

    def ask(self, asked: Sequence[Server], name: str, kind: RecordType) -> Answer:
        """Ask whoever stands at the first address; nobody there is no way there."""
        scripted = self.servers.get(asked[0].host)
        if scripted is None:
            return Answer(name, kind, Outcome.UNREACHABLE, server=str(asked[0]))
        return replace(Resolver([scripted.server], try_seconds=0.2).ask(name, kind), server=str(asked[0]))

    def passes(self, _server: Server, packet_bytes: int, _wait_seconds: float) -> bool:
        self.sent.append(packet_bytes)
        return packet_bytes <= self.path

    def around(self) -> Around:
        return Around(
            ask=self.ask,
            last_handshake=lambda _interface: self.handshake,
            traffic=lambda _interface: self.traffic.pop(0) if self.traffic else None,
            mtu=lambda _interface: self.mtu,
            source_towards=lambda _address: self.source,
            datagram_passes=self.passes,
            stream_passes=lambda _server, _packet_bytes: self.streams,
            now=lambda: NOW,
        )


@pytest.fixture
def world(nameserver: ScriptedDns) -> World:
    nameserver.script[APPS] = records("TXT", "blog,shop")
    return World({TUNNELS.host: nameserver})


@pytest.fixture
def public() -> Iterator[ScriptedDns]:
    with ScriptedDns() as server:
        yield server


def laptop(*own: OwnAddress, server: Server = TUNNELS, file: bool = False) -> Laptop:
    peer_file = FILE if file else None
    return Laptop("shop", [server], own, wanted_networks([server], peer_file), peer_file)


def rungs(findings: Sequence[Finding]) -> list[str]:
    return [finding.rung for finding in findings]


def test_a_laptop_with_its_tunnel_is_well_on_every_rung(world: World) -> None:
    findings = list(climb(laptop(PEER, file=True), world.around()))
    assert [finding.verdict for finding in findings] == [Verdict.OK] * 6, findings
    assert rungs(findings) == [
        "peer file", "tunnel", "tunnel carries", "tunnel's DNS", "names in a browser", "packet size"
    ]  # fmt: skip
    assert world.sent == [1420], "a path that carries the MTU takes one packet to prove"


def test_no_tunnel_at_all(world: World) -> None:
    (finding,) = climb(laptop(server=PUBLIC), world.around())
    assert finding.fault is Fault.NO_TUNNEL, finding
    assert "fly wireguard create" in finding.command


def test_another_network_s_tunnel_is_not_the_file_s(world: World) -> None:
    finding = list(climb(laptop(OTHER, file=True), world.around()))[-1]
    assert (finding.fault, finding.got) == (Fault.NO_TUNNEL, f"only {OTHER.private_ip} on other"), finding


def test_no_tunnel_here_but_names_that_only_the_private_network_knows_is_a_tunnel_on_the_way(
    world: World, nameserver: ScriptedDns
) -> None:
    world.servers[PUBLIC.host] = nameserver
    (finding,) = climb(laptop(server=PUBLIC), world.around())
    assert finding.verdict is Verdict.OK, finding


def test_where_the_system_lists_no_addresses_the_rung_says_what_would_help(world: World) -> None:
    (finding,) = climb(Laptop("shop", [PUBLIC], None), world.around())
    assert finding.verdict is Verdict.SKIPPED
    assert "--wireguard FILE" in finding.got


@pytest.mark.parametrize(
    ("handshake", "fault", "words"),
    [
        (0, Fault.NO_HANDSHAKE, "never a handshake"),
        (int(NOW) - 181, Fault.NO_HANDSHAKE, "last handshake 181 s ago"),
        (int(NOW) - 180, Fault.TUNNEL_SILENT, "last handshake 180 s ago"),
        (None, Fault.NO_HANDSHAKE, "wg show needs root"),
    ],
)
def test_silence_is_told_apart_by_the_handshake(
    world: World, nameserver: ScriptedDns, handshake: int | None, fault: Fault, words: str
) -> None:
    nameserver.script[APPS] = silence
    world.handshake, world.traffic = handshake, [(10, 4), (13, 4)]
    findings = list(climb(laptop(PEER), world.around()))
    assert findings[-1].fault is fault, findings
    assert words in findings[-1].got
    assert "3 packets left, 0 came in" in findings[-1].got
    assert "wg show laptop" in findings[-1].command


def test_an_address_without_a_route_to_the_nameserver(world: World) -> None:
    world.servers.clear()
    finding = list(climb(laptop(PEER), world.around()))[-1]
    assert finding.fault is Fault.TUNNEL_NO_ROUTE
    assert "AllowedIPs = fdaa:0:18::/48" in finding.command


@pytest.mark.parametrize("server", [FLY_NAMESERVER, OTHERS])
def test_a_private_nameserver_that_is_not_the_tunnel_s_is_named_with_the_right_one(
    world: World, server: Server
) -> None:
    finding = list(climb(laptop(PEER, server=server), world.around()))[-1]
    assert finding.fault is Fault.WRONG_NAMESERVER
    assert "flycast-probe doctor shop --dns fdaa:0:18::3" in finding.command


def test_a_tunnel_that_works_while_the_system_asks_a_public_nameserver(world: World, public: ScriptedDns) -> None:
    world.servers[PUBLIC.host] = public
    findings = list(climb(laptop(PEER, server=PUBLIC), world.around()))
    assert rungs(findings)[-2:] == ["tunnel carries", "tunnel's DNS"]
    assert findings[-1].fault is Fault.DNS_NOT_SET
    assert "DNS = fdaa:0:18::3" in findings[-1].command


@pytest.mark.parametrize(("apps", "fault"), [("shop,blog", None), ("mail", Fault.WRONG_NAMESERVER)])
def test_a_resolver_in_between_is_well_when_it_says_the_same(
    world: World, public: ScriptedDns, apps: str, fault: Fault | None
) -> None:
    public.script[APPS] = records("TXT", apps)
    world.servers[PUBLIC.host] = public
    findings = list(climb(laptop(PEER, server=PUBLIC), world.around()))
    assert [finding.fault for finding in findings if finding.rung == "tunnel's DNS"] == [fault], findings


def test_of_two_tunnels_the_one_that_the_nameserver_is_of_is_looked_at(world: World) -> None:
    first, *_ = climb(laptop(OTHER, PEER), world.around())
    assert first.got == str(PEER)


def test_without_public_ipv6_the_rung_of_browsers_says_what_chromium_does_and_the_cure(world: World) -> None:
    world.source = ""
    browser, size = list(climb(laptop(PEER), world.around()))[-2:]
    assert (browser.verdict, size.verdict) == (Verdict.SKIPPED, Verdict.OK)
    assert "ERR_NAME_NOT_RESOLVED" in browser.got
    assert "AllowedIPs = fdaa:0:18::/48, 2001:4860:4860::8888/128" in browser.got


@pytest.mark.parametrize("path", [1280, 1281, 1333, 1400, 1419])
def test_a_path_that_carries_less_than_the_mtu_is_measured_to_the_byte(world: World, path: int) -> None:
    world.path, world.streams = path, False
    finding = list(climb(laptop(PEER), world.around()))[-1]
    assert finding.fault is Fault.MTU_TOO_LARGE
    assert f"up to {path} bytes come through" in finding.got
    assert finding.command.startswith(f"MTU = {path} under [Interface]")
    assert len(world.sent) <= 10, world.sent


@pytest.mark.parametrize(
    ("path", "streams", "verdict", "fault"),
    [
        (1279, False, Verdict.FAILED, Fault.PATH_TOO_NARROW),
        (600, True, Verdict.OK, None),
        (600, None, Verdict.SKIPPED, None),
    ],
)
def test_datagrams_alone_do_not_convict_the_path(
    world: World, path: int, streams: bool | None, verdict: Verdict, fault: Fault | None
) -> None:
    world.path, world.streams = path, streams
    finding = list(climb(laptop(PEER), world.around()))[-1]
    assert (finding.verdict, finding.fault) == (verdict, fault), finding


def test_an_mtu_that_the_system_does_not_tell_is_taken_to_be_the_usual(world: World) -> None:
    world.mtu = 0
    finding = list(climb(laptop(PEER), world.around()))[-1]
    assert world.sent == [1420]
    assert "usual MTU" in finding.did


@pytest.mark.parametrize(
    ("machine_id", "own", "server", "was_given", "expected"),
    [
        ("", (PEER,), TUNNELS, False, True),
        ("", (), PUBLIC, False, True),
        ("", (), FLY_NAMESERVER, True, True),
        ("", None, TUNNELS, False, True),
        ("", (), PUBLIC, True, False),
        ("", (PEER,), Server("127.0.0.1", 5353), True, False),
        ("", (MACHINE,), FLY_NAMESERVER, False, False),
        ("3d8d9014b32d89", (PEER,), TUNNELS, False, False),
    ],
)
def test_a_laptop_is_told_from_a_machine_and_from_who_names_another_server(
    machine_id: str, own: tuple[OwnAddress, ...] | None, server: Server, was_given: bool, expected: bool
) -> None:
    assert is_laptop(machine_id, own, server, was_given=was_given) is expected


def test_only_peers_and_machines_addresses_count_as_own() -> None:
    assert parse_if_inet6(IF_INET6) == (PEER,)
    assert (PEER.network, PEER.nameserver, PEER.is_machine) == ("fdaa:0:18::/48", "fdaa:0:18::3", False)


def test_where_the_system_lists_nothing_the_source_towards_the_network_is_asked_for(tmp_path: Path) -> None:
    assert own_addresses((), tmp_path / "none") is None
    assert own_addresses(("fdaa:0:18::/48",), tmp_path / "none") == ()
    assert source_towards("::1") == "::1"


@pytest.mark.parametrize(
    ("text", "moment"),
    [("key=\t0\n", 0), ("key=\t1800000000\nother=\t1700000000\n", 1_800_000_000), ("", None), ("key=\t(none)\n", None)],
)
def test_the_latest_handshake_is_read_from_wg(text: str, moment: int | None) -> None:
    assert parse_handshakes(text) == moment


def test_what_a_system_without_wg_or_such_an_interface_does_not_tell_is_empty(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert last_handshake("laptop0") is None
    assert last_handshake("") is None
    assert (mtu_of("nosuchinterface"), mtu_of("")) == (0, 0)
    assert (traffic_of("nosuchinterface"), traffic_of("")) == (None, None)
    assert traffic_of("lo") is None or mtu_of("lo") > 0


def test_a_wg_that_hangs_or_refuses_tells_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wg = tmp_path / "wg"
    wg.write_text("#!/bin/sh\necho key= 7\nexit 1\n", encoding="utf-8")
    wg.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert last_handshake("laptop") is None
    wg.write_text('#!/bin/sh\n[ "$*" = "show laptop latest-handshakes" ] && echo key= 7\n', encoding="utf-8")
    assert last_handshake("laptop") == 7


@pytest.mark.parametrize("message_bytes", [47, 100, 512, 1372, 4260, 65000])
def test_a_padded_question_has_the_length_that_was_asked_for(message_bytes: int) -> None:
    assert len(padded_query(message_bytes).to_wire()) == message_bytes


def test_a_datagram_passes_when_it_is_answered(nameserver: ScriptedDns) -> None:
    whole = records("TXT", "shop")

    def narrow(query: dns.message.Message, over_tcp: bool) -> bytes | None:
        return whole(query, over_tcp) if len(query.to_wire(max_size=65535)) + 48 <= 1300 else None

    nameserver.script[APPS] = narrow
    assert datagram_passes(nameserver.server, 1300, 5.0)
    assert not datagram_passes(nameserver.server, 1301, 0.05)


def test_a_stream_passes_when_it_is_answered_and_does_not_tell_when_it_is_ended(nameserver: ScriptedDns) -> None:
    nameserver.script[APPS] = records("TXT", "shop")
    assert stream_passes(nameserver.server, 1420) is True
    nameserver.script[APPS] = silence  # over TCP it hangs up
    assert stream_passes(nameserver.server, 1420) is None


def test_a_stream_that_opens_and_then_stalls_does_not_pass_and_one_that_never_opens_does_not_tell() -> None:
    with socket.create_server(("127.0.0.1", 0)) as stalled:
        server = Server("127.0.0.1", stalled.getsockname()[1])
        assert stream_passes(server, 1420) is False
    assert stream_passes(server, 1420) is None


def test_a_narrow_connection_has_small_segments_both_ways() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        with narrow_opener(1300)("::1", server.getsockname()[1], 5.0) as here, server.accept()[0] as there:
            segments = [end.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) for end in (here, there)]
        assert max(segments) <= 1240, segments
    with pytest.raises(ConnectionRefusedError):
        narrow_opener(1300)("::1", closed_port(), 5.0)


def closed_port() -> int:
    """Return a port of loopback where nobody listens."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("limit", range(20))
def test_the_largest_size_is_found_wherever_it_is(limit: int) -> None:
    assert largest(lambda size: size <= limit, 5, 15) == (min(limit, 15) if limit >= 5 else 0)
