"""What this machine says of its private-network interfaces; what a system does not tell is empty.

Rules
- /proc/net/if_inet6 (Linux): address, interface number, prefix length, scope, flags (each in hexadecimal), name.
- Everywhere: a connected UDP socket has the source address that the system would use, and sends nothing.
- Peers have their address in a /120, Machines in a /112 (docs/fly.md, "Addresses" and "WireGuard").
- `wg show INTERFACE latest-handshakes` (wg(8)): public key, tab, seconds since 1970, 0 for never; root only.
"""

from __future__ import annotations

import socket
import subprocess
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

from shell.addresses import AddressKind, take_apart
from shell.wireguard import nameserver_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_IF_INET6, _SYS = Path("/proc/net/if_inet6"), Path("/sys/class/net")
_MACHINE_BITS = 112
_WORDS = 6
_ANY_PORT = 53
_WG_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class OwnAddress:
    """A private-network address of this machine; interface "" and 0 bits where the system does not tell them."""

    private_ip: str
    interface: str = ""
    bits: int = 0

    @property
    def is_machine(self) -> bool:
        """Tell whether it is the address of a Machine on Fly, and not of a WireGuard peer."""
        return self.bits == _MACHINE_BITS

    @property
    def network(self) -> str:
        """Return the /48 it lies in."""
        return take_apart(self.private_ip).network

    @property
    def nameserver(self) -> str:
        """Return the nameserver of its network."""
        return nameserver_of(self.network)

    def __str__(self) -> str:
        """Write the address and where it is."""
        return f"{self.private_ip} on {self.interface}" if self.interface else self.private_ip


def parse_if_inet6(text: str) -> tuple[OwnAddress, ...]:
    """Return the private-network addresses of the text of /proc/net/if_inet6."""
    rows = (line.split() for line in text.splitlines())
    found = (
        OwnAddress(str(IPv6Address(bytes.fromhex(row[0]))), row[5], int(row[2], 16))
        for row in rows
        if len(row) == _WORDS
    )
    return tuple(own for own in found if take_apart(own.private_ip).kind is AddressKind.SIX_PN)


def own_addresses(networks: Sequence[str], if_inet6: Path = _IF_INET6) -> tuple[OwnAddress, ...] | None:
    """Return this machine's private-network addresses; None where the system lists none and no network is known."""
    try:
        return parse_if_inet6(if_inet6.read_text(encoding="ascii", errors="replace"))
    except OSError:  # not Linux, or no IPv6
        sources = {network: source_towards(nameserver_of(network)) for network in networks}
    found = tuple(OwnAddress(source) for network, source in sources.items() if _is_within(source, network))
    return found if networks else None


def source_towards(address: str) -> str:
    """Return the address this machine would send from; "" when nothing leads there."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp:
            udp.connect((address, _ANY_PORT))
            return str(udp.getsockname()[0])
    except OSError:
        return ""


def mtu_of(interface: str) -> int:
    """Return an interface's MTU in bytes; 0 where the system does not tell."""
    return _number(interface, "mtu")


def traffic_of(interface: str) -> tuple[int, int] | None:
    """Return how many packets left by an interface and came in; None where the system does not tell."""
    if not interface or not (_SYS / interface / "statistics").is_dir():
        return None
    return _number(interface, "statistics/tx_packets"), _number(interface, "statistics/rx_packets")


def parse_handshakes(text: str) -> int | None:
    """Return the moment of the latest handshake, in seconds since 1970 and 0 for never; None when there is no peer."""
    words = (line.split()[-1] for line in text.splitlines() if line.strip())
    return max((int(word) for word in words if word.isascii() and word.isdecimal()), default=None)


def last_handshake(interface: str) -> int | None:
    """Ask wg for the latest handshake; None where it is not there, or does not tell this user."""
    if not interface:
        return None
    command = ["wg", "show", interface, "latest-handshakes"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_WG_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_handshakes(done.stdout) if done.returncode == 0 else None


def _is_within(source: str, network: str) -> bool:
    return bool(source) and take_apart(source).network == network


def _number(interface: str, name: str) -> int:
    try:
        return int((_SYS / interface / name).read_text(encoding="ascii")) if interface else 0
    except (OSError, ValueError):
        return 0
