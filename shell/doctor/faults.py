"""Every fault the doctor can name: its likely cause and the exact command.

Rules: docs/fly.md, "Binding", "DNS", "Proxy", "Sleep and wake", "flyctl" and "WireGuard". `{what}` is the one thing
that was found out: a port, a name, an address.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """What is wrong, in words."""

    INTERFACE_NAME = "the file's name is no interface name of 15 characters"
    PEER_FILE_MODE = "others may read the peer file"
    PEER_FILE = "the peer file is not as Fly writes it"
    NO_TUNNEL = "no tunnel"
    TUNNEL_NO_ROUTE = "no route into the tunnel"
    NO_HANDSHAKE = "no handshake"
    TUNNEL_SILENT = "a handshake, and then silence"
    WRONG_NAMESERVER = "not this tunnel's nameserver"
    DNS_NOT_SET = "the tunnel's DNS is not set"
    MTU_TOO_LARGE = "MTU too large for the path"
    PATH_TOO_NARROW = "the path is too narrow for IPv6"
    NO_NAMESERVER = "no private nameserver"
    PUBLIC_NAMESERVER = "the nameserver is not the private network's"
    MISSPELT_APP = "no app of that name"
    WRONG_ORGANISATION = "wrong organisation"
    NOT_DEPLOYED = "app not deployed"
    NO_FLYCAST_ADDRESS = "no Flycast address"
    OTHER_NETWORK = "Flycast address of another network"
    NO_SERVICE = "no service on this port"
    NO_ROUTE = "no route to the Flycast address"
    FORCE_HTTPS = "force_https"
    NO_AUTOSTART = "all asleep, and no autostart"
    SLOW_START = "slow start"
    IPV6_ONLY = "bound to IPv6 only"
    IPV4_ONLY = "bound to IPv4 only"
    WRONG_INTERNAL_PORT = "wrong internal port"
    NOT_LISTENING = "nothing listens"
    NO_HTTP = "no HTTP on this port"
    APP_FAILED = "the app fails"
    NOT_REACHED = "the Machine cannot be reached"
    WAY_IN = "the service takes a Flycast caller for another"
    STALE_NAMES = "stale .internal answers"
    HELLO_NO_SERVICE = "no service on the hello port"
    HELLO_CLOSED = "hello port closed"
    HELLO_UNMATCHED = "the hello service does not fit the app"
    HELLO_OTHER = "not a hello"
    PUBLIC = "public address"
    NOT_IN_A_MACHINE = "not inside a Machine"
    SIX_PN_ONLY = "bound to the 6PN address only"
    V6ONLY = "bound to [::] with V6ONLY"
    LOCALHOST_ONLY = "bound to localhost only"
    WRONG_PORT = "wrong port"
    NO_SOCKET = "nothing listens in this Machine"


@dataclass(frozen=True, slots=True)
class Remedy:
    """Why it is so, most likely, and what to run or change."""

    cause: str
    command: str


_HERE = """fly ssh console -a {app} -C "/venv/bin/python /srv/flycast-probe.pyz doctor --here\""""
_DEPLOY = "fly deploy --flycast --ha=false"
_BIND = f"bind one socket to [::]:{{port}} with IPV6_V6ONLY=0, then: {_DEPLOY} -a {{app}}"
_JOIN = (
    "on a Fly Machine: flycast-probe doctor {app} --dns fdaa::3; on a laptop: fly wireguard create, "
    "then wg-quick up FILE (or --dns with the DNS address in that file)"
)
_AGAIN = "wg-quick down ./FILE, wg-quick up ./FILE (in the WireGuard app: deactivate, activate)"
_NARROWER = "so Fly Proxy, which dials a private IPv4 address, is refused"

REMEDIES = {
    Fault.INTERFACE_NAME: Remedy(
        "the stem is the interface's name; wg-quick refuses more than 15 characters, and others than a-z A-Z 0-9 "
        "_ = + . -",
        "{what}",
    ),
    Fault.PEER_FILE_MODE: Remedy("copied or downloaded: fly wireguard create writes it for its owner only", "{what}"),
    Fault.PEER_FILE: Remedy("edited, or written by hand", "{what}"),
    Fault.NO_TUNNEL: Remedy(
        "WireGuard is down here, or was never set up",
        "fly wireguard create ORG REGION NAME FILE (once), then wg-quick up ./FILE (in the WireGuard app: activate it)",
    ),
    Fault.TUNNEL_NO_ROUTE: Remedy(
        "the interface has its address, but nothing sends {what} into it: AllowedIPs miss it, or the route was removed",
        f"AllowedIPs = {{what}} under [Peer], then {_AGAIN}",
    ),
    Fault.NO_HANDSHAKE: Remedy(
        "what leaves is not answered: this network blocks UDP to the Endpoint, the peer was removed, or the key is "
        "another's; WireGuard answers none of them",
        "sudo wg show {what}; fly wireguard list ORG (is the peer there?); try another network, as a phone's; "
        "else fly wireguard remove, and create",
    ),
    Fault.TUNNEL_SILENT: Remedy(
        "the gateway knew this peer just now, and nothing comes back: the Address is another peer's, a firewall drops "
        "it, or this network has begun to block UDP",
        "compare Address with the file that fly wireguard create wrote; sudo wg show {what}; once more in three "
        "minutes, when the handshake of a dead tunnel is old",
    ),
    Fault.WRONG_NAMESERVER: Remedy(
        "over WireGuard the nameserver is {what}; fdaa::3 is for Machines only, and another network's knows other apps",
        f"DNS = {{what}} under [Interface], then {_AGAIN}; now: flycast-probe doctor {{app}} --dns {{what}}",
    ),
    Fault.DNS_NOT_SET: Remedy(
        "the tunnel works, but the system still asks another nameserver: the DNS line is missing, or nothing puts it "
        "into force (on Linux resolvconf or systemd-resolved must)",
        f"DNS = {{what}} under [Interface], then {_AGAIN}; now: flycast-probe doctor {{app}} --dns {{what}}",
    ),
    Fault.MTU_TOO_LARGE: Remedy(
        "something on the way (PPPoE, another VPN, a mobile network) carries less, and says nothing when it drops more",
        f"MTU = {{what}} under [Interface], then {_AGAIN}",
    ),
    Fault.PATH_TOO_NARROW: Remedy(
        "WireGuard adds 80 bytes, so the path must carry 1360; another VPN around this one is the usual reason",
        f"MTU = 1280 under [Interface], then {_AGAIN}; if it stays: another network, or without the other VPN",
    ),
    Fault.NO_NAMESERVER: Remedy("this machine is not on the private network, or asks the wrong address", _JOIN),
    Fault.PUBLIC_NAMESERVER: Remedy(
        "it does not know _apps.internal: resolv.conf names a public resolver, or WireGuard's DNS line is ignored",
        _JOIN,
    ),
    Fault.MISSPELT_APP: Remedy(
        "the name is misspelt: this organisation has an app {what}", "flycast-probe doctor {what}"
    ),
    Fault.WRONG_ORGANISATION: Remedy(
        "the app belongs to another organisation or private network than this machine, or was never created",
        "fly status -a {app} (shows its owner), then join that organisation's network: fly wireguard create OWNER",
    ),
    Fault.NOT_DEPLOYED: Remedy("the app exists but has no Machines", f"{_DEPLOY} -a {{app}}"),
    Fault.NO_FLYCAST_ADDRESS: Remedy(
        "the app has no Flycast address: --flycast is not remembered between launch and deploy",
        "fly ips allocate-v6 --private -a {app}",
    ),
    Fault.OTHER_NETWORK: Remedy(
        "the Flycast address was allocated to another network (--org or --network) than this machine's {what}",
        "fly ips list -a {app}, then: fly ips allocate-v6 --private -a {app} (or with --network, for this one)",
    ),
    Fault.NO_SERVICE: Remedy(
        "no deployed service has port {port}",
        f"[http_service] or [[services.ports]] with port = {{port}} in fly.toml, then: {_DEPLOY} -a {{app}}",
    ),
    Fault.NO_ROUTE: Remedy(
        "nothing leads from here to the Flycast address: WireGuard is down, or its AllowedIPs miss the network",
        "wg show (AllowedIPs must hold the /48 of the address), then wg-quick down FILE and wg-quick up FILE",
    ),
    Fault.FORCE_HTTPS: Remedy(
        "force_https is on, and a Flycast address has no certificate to answer https with",
        f"remove force_https = true from fly.toml, then: {_DEPLOY} -a {{app}}",
    ),
    Fault.NO_AUTOSTART: Remedy(
        "every Machine is asleep and the request woke none: auto_start_machines = false",
        f"auto_start_machines = true in fly.toml, then: {_DEPLOY} -a {{app}}; at once: fly machine start -a {{app}} "
        "{what}; if it is true already, the app ends as soon as it starts: fly logs -a {app}",
    ),
    Fault.SLOW_START: Remedy(
        "the app took longer to listen than Fly Proxy waits for a Machine it wakes, 8 to 11 s; now it answers",
        "flycast-probe wake {app} (how long, and where the time goes); listen before the heavy imports",
    ),
    Fault.IPV6_ONLY: Remedy(
        f"on port {{port}} the app listens on IPv6 only (the 6PN address, or [::] with V6ONLY), {_NARROWER}",
        f"{_HERE} tells which; then {_BIND}",
    ),
    Fault.IPV4_ONLY: Remedy(
        "on port {port} the app listens on IPv4 only (0.0.0.0), which Fly Proxy reaches and 6PN does not; "
        "or {port} is not the internal_port of its service",
        f"{_BIND}; if fly.toml has another internal_port, tell me: --internal-port PORT",
    ),
    Fault.WRONG_INTERNAL_PORT: Remedy(
        "the app listens on port {what}; the internal_port of its service is another",
        f"internal_port = {{what}} in fly.toml, then: {_DEPLOY} -a {{app}}",
    ),
    Fault.NOT_LISTENING: Remedy(
        "nothing that can be reached from outside the Machine listens on the internal port {port}: "
        "the app is bound to localhost, or to another port, or not ready",
        _HERE,
    ),
    Fault.NO_HTTP: Remedy(
        "the service behind this port does not speak HTTP", "flycast-probe doctor {app} --port PORT, its HTTP port"
    ),
    Fault.APP_FAILED: Remedy("Fly Proxy reaches the app; the app itself fails", "fly logs -a {app}"),
    Fault.NOT_REACHED: Remedy("the Machine is up but answers neither Fly Proxy nor this machine", "fly logs -a {app}"),
    Fault.WAY_IN: Remedy(
        "it judges by the peer and Fly-Client-IP, and PLATFORM_NETWORKS says which peers are Fly's: "
        "expected flycast, it says {what}",
        "fly config env -a {app} (PLATFORM_NETWORKS: unset, or every network that Fly dials from)",
    ),
    Fault.STALE_NAMES: Remedy(
        "vms lists started Machines, the .internal name has none: something between here and the nameserver caches",
        "flycast-probe doctor {app} --dns fdaa::3 (over WireGuard: NETWORK::3)",
    ),
    Fault.HELLO_NO_SERVICE: Remedy(
        "no deployed service has port {port}",
        f"[[services]] with [[services.ports]] port = {{port}} in fly.toml, then: {_DEPLOY} -a {{app}}; "
        "for an app that has no hello port: --hello-port 0",
    ),
    Fault.HELLO_CLOSED: Remedy(
        "the service has port {port}, but in the Machine nothing listens there: HELLO_PORT and internal_port differ",
        f'internal_port = {{port}} under [[services]] and HELLO_PORT = "{{port}}" under [env], then: {_DEPLOY}',
    ),
    Fault.HELLO_UNMATCHED: Remedy(
        "the app greets on port {port} over IPv4 and IPv6, yet not through Fly Proxy: internal_port under "
        "[[services]] is another, or HELLO_PROXY_PROTOCOL is on without the handler proxy_proto",
        f'internal_port = {{port}} under [[services]], and both or neither of handlers = ["proxy_proto"] and '
        f'HELLO_PROXY_PROTOCOL = "on", then: {_DEPLOY} -a {{app}}',
    ),
    Fault.HELLO_OTHER: Remedy(
        "something else than the hello listens on port {port}", "flycast-probe doctor {app} --hello-port PORT"
    ),
    Fault.PUBLIC: Remedy(
        "the app has a public address: a deploy without --flycast allocates one",
        "fly ips list -a {app}, then for each that is not private_v6: fly ips release {what} -a {app}",
    ),
    Fault.NOT_IN_A_MACHINE: Remedy("/etc/hosts has no fly-local-6pn, which Fly's init writes", _HERE),
    Fault.SIX_PN_ONLY: Remedy(f"the app listens on its 6PN address (fly-local-6pn) only, {_NARROWER}", _BIND),
    Fault.V6ONLY: Remedy(
        f'the app listens on [::] with IPV6_V6ONLY=1, as asyncio, aiohttp and uvicorn do for "::", {_NARROWER}', _BIND
    ),
    Fault.LOCALHOST_ONLY: Remedy("the app listens on localhost only, where nobody else comes in", _BIND),
    Fault.NO_SOCKET: Remedy(
        "no program has bound a port: the app is still starting, or has ended", "fly logs -a {app}"
    ),
    Fault.WRONG_PORT: Remedy(
        "nothing listens on port {port}; what listens here is on {what}",
        f"internal_port in fly.toml and the app's own port made the same, then: {_DEPLOY}; to look at another port: "
        "flycast-probe doctor --here --internal-port PORT --hello-port PORT (0: none)",
    ),
}
