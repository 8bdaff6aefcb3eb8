"""Peer files: what `fly wireguard create` writes, and what is wrong with one.

Rules
- The form is wg(8)'s with the keys of wg-quick(8): sections, `key = value`, `#` begins a comment, no word minds case.
- Fly writes, mode 0600: Address in fdaa::/16 with /120, DNS `<network>::3`, AllowedIPs `<network>::/48`, an Endpoint
  and PersistentKeepalive (docs/fly.md, "WireGuard"). `fdaa::3` in place of `<network>::3` is for Machines.
- The stem is the interface's name: wg-quick takes 1 to 15 of `a-z A-Z 0-9 _ = + . -`, then `.conf`.
- IPv6 asks an MTU of 1280 at least (RFC 8200 §5).
- Of the keys nothing is ever shown, nor of a line that cannot be read: it may hold one.
"""

from __future__ import annotations

import os
import re
from binascii import Error as NotBase64
from binascii import a2b_base64
from dataclasses import dataclass
from ipaddress import IPv6Interface, IPv6Network
from typing import TYPE_CHECKING

from shell.addresses import AddressKind, take_apart
from shell.errors import UsageError
from shell.flytoml.regular_file import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEAST_MTU = 1280
_MAX_BYTES = 65536
_KEY_BYTES = 32
_PEER_BITS = 120
_MAX_SHOWN = 60
_MAX_PORT = 65535
_READABLE_BY_OTHERS = 0o077
_FILE_NAME = re.compile(r"[A-Za-z0-9_=+.-]{1,15}\.conf")
_ENDPOINT = re.compile(r"(?:\[[0-9A-Fa-f:.]+]|[^\s:\[\]]+):([0-9]{1,5})")
_KEY_LIKE = re.compile(r"[A-Za-z0-9+/]{24,}=?")
_MTUS = range(LEAST_MTU, 65536)


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing that is wrong: where (0: no line of its own), what is there, and what should be."""

    line: int
    got: str
    fix: str

    def __str__(self) -> str:
        """Say where and what."""
        return f"line {self.line}: {self.got}" if self.line else self.got


@dataclass(frozen=True, slots=True)
class Entry:
    """A value and the line it stands on."""

    line: int
    value: str

    @property
    def words(self) -> tuple[str, ...]:
        """Return the parts of a list."""
        return tuple(word.strip() for word in self.value.split(",") if word.strip())


@dataclass(frozen=True, slots=True)
class PeerFile:
    """A peer file, taken apart: `entries` by section and key in lower case, in the order of the file."""

    name: str
    mode: int
    entries: dict[tuple[str, str], tuple[Entry, ...]]
    unread: tuple[int, ...] = ()

    @property
    def interface(self) -> str:
        """Return the name that wg-quick gives the interface."""
        return self.name.removesuffix(".conf")

    @property
    def private_ip(self) -> str:
        """Return the peer's 6PN address; "" when there is none."""
        found = (_interface_of(word) for entry in self.all("interface", "address") for word in entry.words)
        return next((str(it.ip) for it in found if it and take_apart(str(it.ip)).kind is AddressKind.SIX_PN), "")

    @property
    def network(self) -> str:
        """Return the /48 that the file leads to; "" when the address does not tell."""
        return take_apart(self.private_ip).network if self.private_ip else ""

    def all(self, section: str, key: str) -> tuple[Entry, ...]:
        """Return every value of a key."""
        return self.entries.get((section, key), ())


def parse_peer_file(text: str, name: str, mode: int) -> PeerFile:
    """Take a peer file apart; what cannot be read is kept as line numbers."""
    entries: dict[tuple[str, str], tuple[Entry, ...]] = {}
    unread: list[int] = []
    section = ""
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.partition("#")[0].strip()
        key, equals, value = (part.strip() for part in line.partition("="))
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip().lower()
            entries.setdefault((section, ""), ())
        elif equals and key and section:
            place = section, key.lower()
            entries[place] = (*entries.get(place, ()), Entry(number, value))
        elif line:
            unread.append(number)
    return PeerFile(name, mode, entries, tuple(unread))


def read_peer_file(path: Path) -> PeerFile:
    """Read a peer file; raise `UsageError` when it is none that can be read."""
    try:
        with open_regular(path) as file:
            raw, mode = file.read(_MAX_BYTES + 1), os.fstat(file.fileno()).st_mode
    except OSError as error:
        advice = "; sudo may read it" if isinstance(error, PermissionError) else ""
        raise UsageError(f"--wireguard: cannot read {str(path)!r}: {error.strerror}{advice}") from error
    if len(raw) > _MAX_BYTES:
        raise UsageError(f"--wireguard: expected a peer file, got more than {_MAX_BYTES} bytes")
    return parse_peer_file(raw.decode("utf-8", "replace"), path.name, mode & 0o777 if os.name == "posix" else 0o600)


def name_flaw(file: PeerFile) -> Flaw | None:
    """Return what is wrong with the file's name."""
    if _FILE_NAME.fullmatch(file.name):
        return None
    stem = re.sub(r"[^A-Za-z0-9_=+.-]", "", file.interface)[:15].strip(".") or "fly"
    got = f"{_shown(file.interface)}, {len(file.interface)} characters"
    return Flaw(0, got, f"mv FILE {stem}.conf, then: wg-quick up ./{stem}.conf")


def mode_flaw(file: PeerFile) -> Flaw | None:
    """Return what is wrong with who may read it."""
    if not file.mode & _READABLE_BY_OTHERS:
        return None
    return Flaw(0, f"mode {file.mode:04o}, expected 0600: it holds the private key", "chmod 600 FILE")


def content_flaws(file: PeerFile) -> tuple[Flaw, ...]:
    """Return what is wrong inside, by line."""
    return tuple(sorted(_content_flaws(file), key=lambda flaw: flaw.line))


def _content_flaws(file: PeerFile) -> Iterator[Flaw]:
    for section in ("interface", "peer"):
        if (section, "") not in file.entries:
            yield Flaw(0, f"no [{section.capitalize()}]", "create the file anew: fly wireguard create")
            return  # it is something else: of its lines there is nothing to say
    yield from (Flaw(line, "cannot be read", "KEY = VALUE, or # before it") for line in file.unread)
    yield from _key_flaws(file, "interface", "PrivateKey")
    yield from _address_flaws(file)
    yield from _mtu_flaws(file)
    yield from _key_flaws(file, "peer", "PublicKey")
    yield from _peer_flaws(file)
    if file.network:
        yield from _network_flaws(file, file.network)


def _key_flaws(file: PeerFile, section: str, key: str) -> Iterator[Flaw]:
    found = file.all(section, key.lower())
    if not found:
        yield Flaw(0, f"no {key}", "create the file anew: fly wireguard create (a lost key cannot be had again)")
    for entry in found:
        if not _is_key(entry.value):
            yield Flaw(entry.line, f"{key} is not 32 bytes in base64", "copy it anew, or: fly wireguard create")


def _address_flaws(file: PeerFile) -> Iterator[Flaw]:
    entries, private_ip = file.all("interface", "address"), file.private_ip
    if not private_ip:
        line, got = (entries[0].line, _setting("Address", entries[0])) if entries else (0, "no Address")
        yield Flaw(line, f"{got}, expected a 6PN address", "Address = fdaa:…/120, as fly wireguard create wrote it")
    for entry in entries:
        for found in filter(None, map(_interface_of, entry.words)):
            if str(found.ip) == private_ip and found.network.prefixlen != _PEER_BITS:
                yield Flaw(entry.line, f"Address is a /{found.network.prefixlen}", f"Address = {found.ip}/{_PEER_BITS}")


def _mtu_flaws(file: PeerFile) -> Iterator[Flaw]:
    for entry in file.all("interface", "mtu"):
        if not re.fullmatch(r"[0-9]{1,5}", entry.value) or int(entry.value) not in _MTUS:
            fix = f"MTU = {LEAST_MTU}, the least that IPv6 allows, or no such line"
            yield Flaw(entry.line, _setting("MTU", entry), fix)


def _network_flaws(file: PeerFile, network: str) -> Iterator[Flaw]:
    """Compare what leads to the network with the network that the address is of."""
    nameserver = nameserver_of(network)
    named = file.all("interface", "dns")
    if nameserver not in {_canonical(word) for entry in named for word in entry.words}:
        line, got = (named[0].line, _setting("DNS", named[0])) if named else (0, "no DNS")
        yield Flaw(line, f"{got}, expected {nameserver}", f"DNS = {nameserver} under [Interface]")
    allowed = file.all("peer", "allowedips")
    ranges = [found.network for entry in allowed for found in map(_interface_of, entry.words) if found]
    if not any(IPv6Network(network).subnet_of(it) for it in ranges):
        line, got = (allowed[0].line, _setting("AllowedIPs", allowed[0])) if allowed else (0, "no AllowedIPs")
        yield Flaw(line, f"{got}, expected {network}", f"AllowedIPs = {network} under [Peer]")


def _peer_flaws(file: PeerFile) -> Iterator[Flaw]:
    endpoint = next(iter(file.all("peer", "endpoint")), Entry(0, ""))
    port = _ENDPOINT.fullmatch(endpoint.value)
    if not port or not 0 < int(port[1]) <= _MAX_PORT:
        got = _setting("Endpoint", endpoint) if endpoint.line else "no Endpoint"
        yield Flaw(endpoint.line, f"{got}, expected HOST:PORT", "Endpoint = GATEWAY:51820, as Fly wrote it")
    keepalive = next(iter(file.all("peer", "persistentkeepalive")), Entry(0, ""))
    if not re.fullmatch(r"[1-9][0-9]{0,4}", keepalive.value):
        got = _setting("PersistentKeepalive", keepalive) if keepalive.line else "no PersistentKeepalive"
        why = "behind a NAT nothing comes in once it has forgotten the tunnel"
        yield Flaw(keepalive.line, f"{got}: {why}", "PersistentKeepalive = 15 under [Peer]")


def nameserver_of(network: str) -> str:
    """Return the nameserver of a /48 for its WireGuard peers."""
    return str(IPv6Network(network).network_address + 3)


def _interface_of(text: str) -> IPv6Interface | None:
    try:
        return IPv6Interface(text)
    except ValueError:
        return None


def _canonical(text: str) -> str:
    found = _interface_of(text)
    return str(found.ip) if found else text


def _is_key(text: str) -> bool:
    try:
        return len(a2b_base64(text.encode("ascii"), strict_mode=True)) == _KEY_BYTES
    except (NotBase64, UnicodeError):
        return False


def _setting(key: str, entry: Entry) -> str:
    return f"{key} = {_shown(entry.value)}"


def _shown(text: str) -> str:
    """Write a value in short, but never what may be a key in the wrong place."""
    return _KEY_LIKE.sub("(a key)", text)[:_MAX_SHOWN]
