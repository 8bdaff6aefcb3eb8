"""Bind the ports, so that both Fly Proxy and 6PN can reach them.

Fly Proxy dials IPv4, 6PN callers dial IPv6: one IPv6 socket with IPV6_V6ONLY=0 takes both (docs/fly.md, "Binding").
Runs before everything heavy, hence `_socket`: `socket` would add enum and selectors, milliseconds of a cold start.
"""

from __future__ import annotations

import errno
import os
from _socket import (
    AF_INET,
    AF_INET6,
    IPPROTO_IPV6,
    IPPROTO_TCP,
    IPV6_V6ONLY,
    SO_KEEPALIVE,
    SO_REUSEADDR,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_KEEPCNT,
    TCP_KEEPIDLE,
    TCP_KEEPINTVL,
    socket,
)

BACKLOG = 4096  # callers the kernel holds while Python starts
NO_IPV6 = (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EADDRNOTAVAIL)
IPV4_REACH = "Flycast only: this kernel has no IPv6, so 6PN and .internal names cannot reach it"
# A peer that vanishes says no goodbye. Without these, its connection would look like work for two hours (tcp(7)); with
# them the kernel ends it after a minute of silence.
KEEPALIVE = (
    (SOL_SOCKET, SO_KEEPALIVE, 1),
    (IPPROTO_TCP, TCP_KEEPIDLE, 30),
    (IPPROTO_TCP, TCP_KEEPINTVL, 10),
    (IPPROTO_TCP, TCP_KEEPCNT, 3),
)
LISTENING = "0A"  # TCP_LISTEN in /proc/net/tcp


class BindError(Exception):
    """A port cannot be bound; the message names it, the reason and the remedy."""


class Listener:
    """A bound socket that nobody accepts from yet; `address` is the real one, as `[::]:8080`."""

    __slots__ = ("address", "name", "reach", "setting", "socket")

    def __init__(self, name: str, setting: str, bound: socket, reach: str) -> None:
        host, port = bound.getsockname()[:2]
        self.name = name
        self.setting = setting
        self.socket = bound
        self.address = f"[{host}]:{port}" if bound.family == AF_INET6 else f"{host}:{port}"
        self.reach = reach


def bind(name: str, setting: str, port: int, *, off_proxy: bool = False) -> Listener:
    """Return a listener for `port` on every address, not yet listening; raise `BindError`, which names `setting`.

    With `off_proxy`, 6PN and this Machine reach it, and Fly Proxy, which dials IPv4, does not.
    """
    reach, ipv4_host, ipv4_reach = "Flycast and 6PN", "0.0.0.0", IPV4_REACH
    if off_proxy:
        reach, ipv4_host, ipv4_reach = "6PN and ::1", "127.0.0.1", "this Machine only: no IPv6"
    try:
        try:
            return Listener(name, setting, _bound(AF_INET6, "::", port, v6_only=off_proxy), reach)
        except OSError as error:
            if error.errno not in NO_IPV6:
                raise
            return Listener(name, setting, _bound(AF_INET, ipv4_host, port), ipv4_reach)
    except OSError as error:
        raise _explained(error, setting, port) from error


def listen(*listeners: Listener) -> None:
    """Let the kernel take callers on all of them, or raise `BindError` and let it take them on none.

    Called once every port is bound: an established connection must not be reset because another port is taken.
    """
    for listener in listeners:
        try:
            listener.socket.listen(BACKLOG)
        except OSError as error:
            port = listener.socket.getsockname()[1]
            for each in listeners:
                each.socket.close()
            raise _explained(error, listener.setting, port) from error


def _bound(family: int, host: str, port: int, *, v6_only: bool = False) -> socket:
    bound = socket(family, SOCK_STREAM, IPPROTO_TCP)
    try:
        if family == AF_INET6:
            bound.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, v6_only)
        if port:  # with it, "any free port" may be one that another process is about to listen on
            bound.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        for level, option, value in KEEPALIVE:  # every accepted connection inherits them
            bound.setsockopt(level, option, value)
        bound.bind((host, port))
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound


def _explained(error: OSError, setting: str, port: int) -> BindError:
    reason = error.strerror or str(error)
    if error.errno == errno.EADDRINUSE:
        reason = f"{holder_of(port) or 'another process'} has it; stop that, or set {setting} to a free port"
    elif error.errno == errno.EACCES:
        reason = f"not allowed for this user; set {setting} to a port from 1024 up"
    return BindError(f"{setting}: cannot listen on port {port}: {reason}")


def holder_of(port: int) -> str | None:
    """Return the process that listens on `port`, as `python3 (pid 17)`, or None where /proc does not tell."""
    wanted = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    if not wanted:
        return None
    for pid in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208 - no pathlib yet
        try:
            with os.scandir(f"/proc/{pid}/fd") as descriptors:
                if any(os.readlink(descriptor.path) in wanted for descriptor in descriptors):  # noqa: PTH115 - no pathlib yet
                    return f"{_command(pid)} (pid {pid})"
        except OSError:  # it has gone, or it is another user's
            continue
    return None


def _command(pid: str) -> str:
    with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as comm:  # noqa: PTH123 - no pathlib yet
        return comm.read().strip()


def _listening_inodes(port: int) -> list[str]:
    inodes = []
    for table in ("/proc/net/tcp6", "/proc/net/tcp"):
        try:
            with open(table, encoding="ascii") as lines:  # noqa: PTH123 - no pathlib yet
                rows = [line.split() for line in lines]
        except OSError:
            continue
        inodes += [row[9] for row in rows[1:] if row[3] == LISTENING and int(row[1].rpartition(":")[2], 16) == port]
    return inodes
