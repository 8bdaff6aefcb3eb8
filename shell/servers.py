"""Which nameserver to ask.

Rules: `--dns` when given; else the `nameserver` lines of /etc/resolv.conf, at most three (resolv.conf(5));
else `fdaa::3`, the nameserver of every Machine (docs/fly.md, "DNS").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from shell.errors import UsageError

_RESOLV_CONF = Path("/etc/resolv.conf")
_DNS_PORT = 53
_MAX_PORT = 65535
_MAX_NAMESERVERS = 3
_MAX_FILE_CHARACTERS = 65536
_BRACKETED = re.compile(r"\[([^]]*)](?::([0-9]{1,5}))?")
_ONE_COLON = re.compile(r"([^:]*):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Server:
    """A nameserver's address and port."""

    host: str
    port: int = _DNS_PORT

    def __str__(self) -> str:
        """Write it as `--dns` takes it; the usual port is left out."""
        if self.port == _DNS_PORT:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


FLY_NAMESERVER = Server("fdaa::3")


def parse_server(text: str) -> Server:
    """Read `ADDR`, `ADDR:PORT` or `[ADDR]:PORT`; raise `UsageError` when it is none of them."""
    with_port = _BRACKETED.fullmatch(text) or _ONE_COLON.fullmatch(text)
    host, port = (with_port[1], int(with_port[2] or _DNS_PORT)) if with_port else (text, _DNS_PORT)
    if not _is_address(host) or not 0 < port <= _MAX_PORT:
        raise UsageError(f"--dns: expected ADDR, ADDR:PORT or [ADDR]:PORT, got {text!r}")
    return Server(host, port)


def servers_of(resolv_conf: str) -> tuple[Server, ...]:
    """Return the nameservers that the text of a resolv.conf names."""
    lines = (line.split() for line in resolv_conf.splitlines())
    hosts = (words[1] for words in lines if len(words) > 1 and words[0] == "nameserver")
    return tuple(Server(host) for host in hosts if _is_address(host))[:_MAX_NAMESERVERS]


def choose_servers(dns: str | None, resolv_conf: Path = _RESOLV_CONF) -> tuple[Server, ...]:
    """Return the servers to ask, in order; raise `UsageError` when `dns` is not an address."""
    if dns is not None:
        return (parse_server(dns),)
    try:
        with resolv_conf.open(encoding="utf-8", errors="replace") as file:
            text = file.read(_MAX_FILE_CHARACTERS)
    except OSError:
        text = ""
    return servers_of(text) or (FLY_NAMESERVER,)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
