"""Configures the interfaces of one network namespace: rtnetlink(7), many requests in one packet.

The messages are pyroute2's.  Its `IPRoute` runs an event loop a socket and waits for every answer, some 10 ms for a
Machine; sent together and answered together they take the kernel's time and little more.
"""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from lab import namespaces as ns
from lab.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LOOPBACK = 1  # ifindex of lo, in every namespace
PEER_INDEX = 100  # above what a fresh namespace may have, below FIRST_INDEX
FIRST_INDEX = 1000
MTU = 1420  # what Fly's WireGuard mesh leaves

_NETLINK_ROUTE = 0
_NEW_LINK, _NEW_ADDRESS, _NEW_ROUTE, _NEW_NEIGHBOUR = 16, 20, 24, 28
_ANSWERED = 0x0001 | 0x0004  # NLM_F_REQUEST, NLM_F_ACK
_CREATE = _ANSWERED | 0x0200 | 0x0400  # NLM_F_EXCL, NLM_F_CREATE
_UP = {"flags": 1, "change": 1}  # IFF_UP
_NO_DAD = 0x02  # IFA_F_NODAD: the address is usable at once
_PERMANENT = 0x80  # NUD_PERMANENT
_MAIN_TABLE, _BOOT, _GLOBAL, _ON_LINK = 254, 3, 0, 253  # RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE and _LINK
_UNICAST, _BLACKHOLE = 1, 6  # RTN_*
_ERROR = struct.Struct("=IHHIIi")  # nlmsghdr, then the error of nlmsgerr: an acknowledgement has 0
_ANSWER_BYTES = 4096
_AT_ONCE = 100  # as many answers as the receive buffer surely holds
_PATIENCE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a veth pair: in which namespace it is `PEER_INDEX`, its name and its MAC."""

    namespace: int
    name: str
    mac: str


class Netlink:
    """Configure the interfaces of one network namespace; its lo is up.

    Requests wait for `send`, or for the end of the `with` block; one that the kernel refuses is a `RefusedError`.
    """

    def __init__(self, namespace: int, settings: Iterable[tuple[str, str]] = ()) -> None:
        """Use the namespace of a descriptor; write `settings` below /proc/sys there."""
        self.namespace = namespace
        self._waiting: list[tuple[str, bytearray]] = []
        with ns.inside(namespace):
            for name, value in settings:
                _set(name, value)
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_ROUTE)
        self._socket.settimeout(_PATIENCE_SECONDS)
        self.link_up(LOOPBACK)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._socket:
            if kind is None:
                self.send()

    def index_of(self, name: str) -> int:
        """Return the index of the interface `name`."""
        with ns.inside(self.namespace):
            return socket.if_nametoindex(name)

    def add_veth(self, name: str, index: int, mac: str, peer: Peer, *, bridge: int = 0, mtu: int = MTU) -> None:
        """Make a pair of connected interfaces: one here, up, a port of `bridge` if that is given, and its `peer`."""
        other = [("IFLA_IFNAME", peer.name), ("IFLA_ADDRESS", peer.mac), ("IFLA_MTU", mtu)]
        ends = {"VETH_INFO_PEER": {"index": PEER_INDEX, "attrs": [*other, ("IFLA_NET_NS_FD", peer.namespace)]}}
        master = [("IFLA_MASTER", bridge)] if bridge else []
        attributes = [("IFLA_IFNAME", name), ("IFLA_ADDRESS", mac), ("IFLA_MTU", mtu), *master]
        self._add_link("veth", index, attributes, ends)

    def add_bridge(self, name: str, index: int, mac: str, *, mtu: int = MTU) -> None:
        """Make a bridge, up; without a `mac` of its own it would take that of a port, now and then another."""
        attributes = [("IFLA_IFNAME", name), ("IFLA_ADDRESS", mac), ("IFLA_MTU", mtu)]
        self._add_link("bridge", index, attributes, {"IFLA_BR_MCAST_SNOOPING": 0})

    def _add_link(self, kind: str, index: int, attributes: list[tuple[str, Any]], data: Mapping[str, Any]) -> None:
        info = {"attrs": [("IFLA_INFO_KIND", kind), ("IFLA_INFO_DATA", {"attrs": list(data.items())})]}
        fields = {"index": index, **_UP}
        self._add(f"make the {kind} {index}", ifinfmsg(), _NEW_LINK, fields, [*attributes, ("IFLA_LINKINFO", info)])

    def link_up(self, index: int) -> None:
        """Turn the interface `index` on."""
        self._add(f"turn on interface {index}", ifinfmsg(), _NEW_LINK, {"index": index, **_UP}, (), _ANSWERED)

    def move(self, index: int, namespace: int) -> None:
        """Move the interface `index` to another namespace, where it is turned off."""
        where = [("IFLA_NET_NS_FD", namespace)]
        self._add(f"move interface {index}", ifinfmsg(), _NEW_LINK, {"index": index}, where, _ANSWERED)

    def add_address(self, index: int, address: str, prefix: int) -> None:
        """Give the interface `index` an address that is usable at once."""
        fields = {"family": _family(address), "prefixlen": prefix, "index": index, "flags": _NO_DAD}
        if ":" in address:
            attributes = [("IFA_ADDRESS", address)]
        else:
            attributes = [("IFA_LOCAL", address), ("IFA_ADDRESS", address)]
            del fields["flags"]
        self._add(f"give interface {index} the address {address}", ifaddrmsg(), _NEW_ADDRESS, fields, attributes)

    def neighbour(self, index: int, address: str, mac: str) -> None:
        """Tell for ever which `mac` an address on the link has."""
        fields = {"family": _family(address), "ifindex": index, "state": _PERMANENT}
        attributes = [("NDA_DST", address), ("NDA_LLADDR", mac)]
        self._add(f"make {address} a neighbour", ndmsg(), _NEW_NEIGHBOUR, fields, attributes)

    def add_route(self, network: str, *, gateway: str = "", index: int = 0) -> None:
        """Route `network`, address/prefix, to a `gateway`, else to all on the link of `index`, else nowhere."""
        address, _, prefix = network.partition("/")
        reach = {"type": _UNICAST if gateway or index else _BLACKHOLE, "scope": _ON_LINK if index else _GLOBAL}
        fields = {
            "family": _family(address), "dst_len": int(prefix), "table": _MAIN_TABLE, "proto": _BOOT, **reach
        }  # fmt: skip
        attributes: list[tuple[str, str | int]] = [("RTA_DST", address)] if int(prefix) else []
        if gateway:
            attributes.append(("RTA_GATEWAY", gateway))
        if index:
            attributes.append(("RTA_OIF", index))
        self._add(f"route {network}", rtmsg(), _NEW_ROUTE, fields, attributes)

    def _add(
        self, what: str, message: Any, number: int, fields: Mapping[str, int], attributes: Any, flags: int = _CREATE
    ) -> None:
        header = message["header"]
        header["type"], header["flags"] = number, flags
        for name, value in fields.items():
            message[name] = value
        message["attrs"] = attributes
        message.encode()
        self._waiting.append((what, message.data))

    def send(self) -> None:
        """Have the kernel do what waits, in order; `RefusedError` names the first thing that it refused."""
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), _AT_ONCE):
            part = waiting[start : start + _AT_ONCE]
            self._socket.send(b"".join(message for _, message in part))
            errors = [self._answer() for _ in part]
            for (what, _), error in zip(part, errors, strict=True):
                if error:
                    raise RefusedError(what, error)

    def _answer(self) -> int:
        """Return the next answer: 0 or an errno; the kernel answers in the order of the requests."""
        return -int(_ERROR.unpack_from(self._socket.recv(_ANSWER_BYTES))[-1])


def _set(name: str, value: str) -> None:
    """Write a value below /proc/sys, which shows the network namespace of this thread."""
    try:
        file = os.open(f"/proc/sys/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(file, value.encode())
        finally:
            os.close(file)
    except OSError as error:
        raise RefusedError(f"write /proc/sys/{name}", error.errno or 0) from error


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
