"""Climb the rungs of a laptop: peer file, tunnel, what it carries, its DNS, a browser's names, the size of packets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shell.addresses import take_apart
from shell.answers import Answer, RecordType
from shell.doctor import tunnel as judge
from shell.doctor.finding import Finding, Verdict
from shell.doctor.path_size import largest
from shell.doctor.tunnel import NEVER, Silence, Sizes
from shell.servers import Server
from shell.wireguard import LEAST_MTU

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from shell.doctor.interfaces import OwnAddress
    from shell.wireguard import PeerFile

_APPS = "_apps.internal", RecordType.TXT
_USUAL_MTU = 1420
_LEAST_WAIT_SECONDS, _MOST_WAIT_SECONDS = 0.4, 2.0
_WAIT_ROUND_TRIPS = 4


@dataclass(frozen=True, slots=True)
class Laptop:
    """What is known at the foot: the nameservers, own addresses (None: not listed), /48s to look for, the peer file."""

    app_name: str
    servers: Sequence[Server]
    own: Sequence[OwnAddress] | None
    networks: Sequence[str] = ()
    file: PeerFile | None = None


@dataclass(frozen=True, slots=True)
class Around:
    """Everything outside: the resolver of given servers, what the system tells of an interface, packets, the time."""

    ask: Callable[[Sequence[Server], str, RecordType], Answer]
    last_handshake: Callable[[str], int | None]
    traffic: Callable[[str], tuple[int, int] | None]
    mtu: Callable[[str], int]
    source_towards: Callable[[str], str]
    datagram_passes: Callable[[Server, int, float], bool]
    stream_passes: Callable[[Server, int], bool | None]
    now: Callable[[], float]


def wanted_networks(servers: Sequence[Server], file: PeerFile | None) -> tuple[str, ...]:
    """Return the /48s to look for a tunnel in: the file's, else those that the nameservers are of."""
    if file:
        return (file.network,) if file.network else ()
    found = (take_apart(server.host).network for server in servers if ":" in server.host)
    return tuple(dict.fromkeys(network for network in found if network))


def climb(laptop: Laptop, around: Around) -> Iterator[Finding]:
    """Yield the finding of each rung; the last one is the first that failed, or all flaws of the peer file."""
    if laptop.file:
        findings = list(judge.judge_file(laptop.app_name, laptop.file))
        yield from findings
        if findings[-1].verdict is Verdict.FAILED:
            return
    if laptop.own is None:
        yield judge.judge_unlisted(laptop.app_name)
        return
    tunnel = judge.choose_tunnel(laptop.own, laptop.networks, only_those=laptop.file is not None)
    apps = None if tunnel or laptop.file else around.ask(laptop.servers, *_APPS)
    yield judge.judge_tunnel(laptop.app_name, tunnel, laptop.own, laptop.networks, apps)
    if tunnel:
        yield from _climb_tunnel(laptop, tunnel, around)


def _climb_tunnel(laptop: Laptop, tunnel: OwnAddress, around: Around) -> Iterator[Finding]:
    before = around.traffic(tunnel.interface)
    apps = around.ask([Server(tunnel.nameserver)], *_APPS)
    silence = _silence(tunnel, before, around) if apps.outcome.silent else Silence()
    carries = judge.judge_silence(laptop.app_name, tunnel, apps, silence)
    yield carries
    if carries.verdict is Verdict.FAILED:
        return
    servers = judge.judge_servers(laptop.app_name, tunnel, laptop.servers)
    servers = servers or judge.judge_system(laptop.app_name, tunnel, around.ask(laptop.servers, *_APPS), apps)
    yield servers
    if servers.verdict is Verdict.FAILED:
        return
    yield judge.judge_browser(tunnel, around.source_towards(judge.CHROMIUM_LOOKS_FOR))
    yield judge.judge_sizes(laptop.app_name, tunnel, _measure(tunnel, apps.elapsed_ms, around))


def _silence(tunnel: OwnAddress, before: tuple[int, int] | None, around: Around) -> Silence:
    shaken, after = around.last_handshake(tunnel.interface), around.traffic(tunnel.interface)
    age = None if shaken is None else round(around.now() - shaken) if shaken else NEVER
    if before is None or after is None:
        return Silence(age)
    return Silence(age, after[0] - before[0], after[1] - before[1])


def _measure(tunnel: OwnAddress, round_trip_ms: float, around: Around) -> Sizes:
    """Send packets of the MTU; only when they vanish, smaller ones."""
    server, told = Server(tunnel.nameserver), around.mtu(tunnel.interface)
    mtu = told or _USUAL_MTU
    wait_seconds = min(max(_WAIT_ROUND_TRIPS * round_trip_ms / 1000, _LEAST_WAIT_SECONDS), _MOST_WAIT_SECONDS)

    def passes(packet_bytes: int) -> bool:
        return around.datagram_passes(server, packet_bytes, wait_seconds)

    if passes(mtu):
        return Sizes(mtu, datagrams=True, assumed=not told)
    streams = around.stream_passes(server, mtu)
    found = largest(passes, LEAST_MTU, mtu - 1) if streams is False else 0
    return Sizes(mtu, datagrams=False, streams=streams, largest=found, assumed=not told)
