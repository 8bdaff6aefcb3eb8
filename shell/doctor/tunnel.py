"""The rungs of a laptop: is there a tunnel, does it carry anything, is its nameserver the one that is asked.

Rules
- A laptop is no Machine: it has no FLY_MACHINE_ID and no 6PN address in a /112. What it has is a peer's, in a /120.
- Over WireGuard the nameserver is `<network>::3`; `fdaa::3` answers Machines only (docs/fly.md, "DNS").
- WireGuard says nothing of a peer that it does not know: a wrong key, a removed peer and a blocked UDP port are all the
  same silence. A tunnel in use shakes hands every two minutes; after three a key is not used any more (Donenfeld,
  "WireGuard: Next Generation Kernel Network Tunnel", §6.1: Reject-After-Time is 180 s).
- An MTU is too large when packets of its size vanish and smaller ones do not.
- Chromium takes a machine from which no route leads to 2001:4860:4860::8888 for one without IPv6, and then asks for no
  AAAA (its net/dns/README.md): a .flycast name is not resolved there, while curl finds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shell.addresses import AddressKind, take_apart
from shell.answers import Answer, Outcome, listed_words
from shell.doctor.faults import Fault
from shell.doctor.finding import Finding, failed, ok, skipped
from shell.wireguard import LEAST_MTU, PeerFile, content_flaws, mode_flaw, name_flaw

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shell.doctor.interfaces import OwnAddress
    from shell.servers import Server

PEER_FILE, TUNNEL, ANSWERS, DNS = "peer file", "tunnel", "tunnel carries", "tunnel's DNS"
SIZE, BROWSER = "packet size", "names in a browser"
NEVER = -1
CHROMIUM_LOOKS_FOR = "2001:4860:4860::8888"
_FRESH_SECONDS = 180
_KNOWN = {Outcome.OK, Outcome.NODATA}


@dataclass(frozen=True, slots=True)
class Silence:
    """What a tunnel did while its nameserver was asked; None where the system does not tell.

    `handshake_age_seconds` is `NEVER` when there was none; `sent` and `received` count packets.
    """

    handshake_age_seconds: int | None = None
    sent: int | None = None
    received: int | None = None

    def __str__(self) -> str:
        """Say it for a person."""
        age = self.handshake_age_seconds
        told = "never a handshake" if age == NEVER else f"last handshake {age} s ago"
        handshake = "wg show needs root: sudo wg show" if age is None else told
        counted = "" if self.sent is None else f"; meanwhile {self.sent} packets left, {self.received} came in"
        return f"{handshake}{counted}"


@dataclass(frozen=True, slots=True)
class Sizes:
    """What came through: the MTU, whether packets that fill it do, and if not the largest that do (0: none)."""

    mtu: int
    datagrams: bool
    streams: bool | None = None
    largest: int = 0
    assumed: bool = False


def is_laptop(machine_id: str, own: Sequence[OwnAddress] | None, server: Server, *, was_given: bool) -> bool:
    """Tell whether the rungs of a laptop apply; a nameserver given by hand outside fdaa::/16 is taken at its word."""
    if machine_id or any(address.is_machine for address in own or ()):
        return False
    return not was_given or _is_private(server.host)


def choose_tunnel(own: Sequence[OwnAddress], networks: Sequence[str], *, only_those: bool) -> OwnAddress | None:
    """Return the address in the first of `networks` that has one, else, unless it must be one of those, the first."""
    found = [address for network in networks for address in own if address.network == network]
    return next(iter(found if only_those else (*found, *own)), None)


def judge_file(app_name: str, file: PeerFile) -> Iterator[Finding]:
    """Judge a peer file: one finding for each thing that is wrong, or one that it is well."""
    did = "read the peer file"
    wrong = [(Fault.INTERFACE_NAME, name_flaw(file)), (Fault.PEER_FILE_MODE, mode_flaw(file))]
    wrong += [(Fault.PEER_FILE, flaw) for flaw in content_flaws(file)]
    found = [(fault, flaw) for fault, flaw in wrong if flaw]
    for fault, flaw in found:
        yield failed(PEER_FILE, did, str(flaw), fault, app_name, what=flaw.fix)
    if not found:
        yield ok(PEER_FILE, did, f"as fly wireguard create writes it: {file.private_ip}, network {file.network}")


def judge_tunnel(
    app_name: str, tunnel: OwnAddress | None, own: Sequence[OwnAddress], networks: Sequence[str], apps: Answer | None
) -> Finding:
    """Judge whether an interface has a peer's address; `apps` is what the nameserver said when none has."""
    did = f"look for an own address in {', '.join(networks) or 'fdaa::/16'}"
    if tunnel:
        return ok(TUNNEL, did, str(tunnel))
    if apps and apps.outcome in _KNOWN:
        return ok(TUNNEL, did, f"none here, but {apps.server} answers as the private network's: a tunnel on the way")
    found = f"only {', '.join(map(str, own))}" if own else "none"
    got = f"{found}, and {apps.server or 'the nameserver'} says: {apps.ending}" if apps else found
    return failed(TUNNEL, did, got, Fault.NO_TUNNEL, app_name)


def judge_silence(app_name: str, tunnel: OwnAddress, apps: Answer, silence: Silence) -> Finding:
    """Judge by `_apps.internal`, asked of the tunnel's own nameserver, whether anything comes back."""
    did = f"ask {tunnel.nameserver} for {apps.name} {apps.record_type}"
    if not apps.outcome.silent:
        return ok(ANSWERS, did, f"{tunnel.nameserver} answers after {apps.elapsed_ms:.0f} ms")
    if apps.outcome is Outcome.UNREACHABLE:
        return failed(ANSWERS, did, "no way there", Fault.TUNNEL_NO_ROUTE, app_name, what=tunnel.network)
    age = silence.handshake_age_seconds
    shaken = age is not None and 0 <= age <= _FRESH_SECONDS
    fault = Fault.TUNNEL_SILENT if shaken else Fault.NO_HANDSHAKE
    return failed(ANSWERS, did, f"silence; {silence}", fault, app_name, what=tunnel.interface or "INTERFACE")


def has_own_nameserver(tunnel: OwnAddress, servers: Sequence[Server]) -> bool:
    """Tell whether the server that is asked first is the tunnel's own."""
    return servers[0].host == tunnel.nameserver


def judge_servers(app_name: str, tunnel: OwnAddress, servers: Sequence[Server]) -> Finding | None:
    """Judge which servers are asked; None when only asking them tells."""
    did, got = "see which nameserver is asked", ", ".join(map(str, servers))
    if has_own_nameserver(tunnel, servers):
        return ok(DNS, did, got)
    if any(_is_private(server.host) for server in servers):
        return failed(DNS, did, got, Fault.WRONG_NAMESERVER, app_name, what=tunnel.nameserver)
    return None


def judge_system(app_name: str, tunnel: OwnAddress, theirs: Answer, tunnels: Answer) -> Finding:
    """Judge the nameserver that is asked by whether it says the same as the tunnel's own."""
    did = f"ask {theirs.server or 'the nameserver'} for {theirs.name} {theirs.record_type}"
    if theirs.outcome not in _KNOWN:
        return failed(DNS, did, theirs.ending, Fault.DNS_NOT_SET, app_name, what=tunnel.nameserver)
    if set(listed_words(theirs)) != set(listed_words(tunnels)):
        got = f"other apps than {tunnel.nameserver} lists: it is another network's"
        return failed(DNS, did, got, Fault.WRONG_NAMESERVER, app_name, what=tunnel.nameserver)
    return ok(DNS, did, f"{theirs.server} passes on what {tunnel.nameserver} says")


def judge_sizes(app_name: str, tunnel: OwnAddress, sizes: Sizes) -> Finding:
    """Judge whether the tunnel carries packets as large as its MTU."""
    interface = tunnel.interface or "INTERFACE"
    mtu = "the usual MTU (the system does not tell its own)" if sizes.assumed else "the interface's MTU"
    did = f"ask {tunnel.nameserver} in packets of {sizes.mtu} bytes, {mtu}"
    if sizes.datagrams:
        return ok(SIZE, did, f"{sizes.mtu} bytes come through")
    if sizes.streams:
        return ok(SIZE, did, f"TCP fills packets of {sizes.mtu} bytes; the nameserver takes no datagram as large")
    if sizes.streams is None:
        return skipped(SIZE, did, "no datagram as large is answered, and TCP does not tell why")
    if not sizes.largest:
        got = f"not even {LEAST_MTU} bytes come through, small packets do"
        return failed(SIZE, did, got, Fault.PATH_TOO_NARROW, app_name, what=interface)
    got = f"up to {sizes.largest} bytes come through, more vanishes"
    return failed(SIZE, did, got, Fault.MTU_TOO_LARGE, app_name, what=str(sizes.largest))


def judge_browser(tunnel: OwnAddress, source: str) -> Finding:
    """Say what Chromium makes of this machine; a way out that is missing spoils nothing for other programs."""
    did = f"look for a route to {CHROMIUM_LOOKS_FOR}, as Chromium does"
    if source:
        return ok(BROWSER, did, f"Chromium asks for IPv6 addresses: it would send from {source}")
    got = (
        "no public IPv6, so Chromium, Chrome and Edge say ERR_NAME_NOT_RESOLVED, curl does not; "
        f"AllowedIPs = {tunnel.network}, {CHROMIUM_LOOKS_FOR}/128 under [Peer] cures it"
    )
    return skipped(BROWSER, did, got)


def judge_unlisted(app_name: str) -> Finding:
    """Say that this system does not tell which tunnels are up."""
    command = f"flycast-probe doctor {app_name} --wireguard FILE"
    return skipped(TUNNEL, "", f"this system does not list its addresses; {command} tells which to look for")


def _is_private(host: str) -> bool:
    return ":" in host and take_apart(host).kind not in {AddressKind.OTHER, AddressKind.LOOPBACK}
