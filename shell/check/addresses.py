"""Whether a private app has a private address, and no public one.

Rules (docs/fly.md, "flyctl" and "Addresses")
- `fly ips list --json` is an array of objects with ID, Address, Type, Region, CreatedAt, ServiceName and Network; null
  is an app that has none.
- Only `private_v6` is private; a Type nobody knows is not. It lies in fdaa::/16.
- Nobody reaches an app by an address to go out by (`egress_v4`, `egress_v6`), and others may have it on their allow
  lists: such an address is harmless.
- A private_v6 address shows that the app is to be private. An app with public addresses alone may be a public website.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import IPv6Network, ip_address
from shlex import quote
from typing import TYPE_CHECKING, Any

from shell.check.finding import Scope, error
from shell.errors import UsageError
from shell.names.grammar import is_app_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from shell.check.finding import Finding

MAX_BYTES = 1 << 20
_SIX_PN = IPv6Network("fdaa::/16")
_PRIVATE = "private_v6"
_PUBLIC = ("v4", "v6", "shared_v4")
_EGRESS = ("egress_v4", "egress_v6")
_EXPECTED = "the output of `fly ips list --json`, an array of objects with Address and Type"

PUBLIC_ADDRESS = error(
    "public-address",
    "Anybody on the Internet can reach the app through it, and wake it.",
    "Release the address with `fly ips release`, unless the app is to be public.",
    Scope.PRIVATE,
)
NOT_PRIVATE = error(
    "not-private",
    "A private app is reached by private_v6 addresses only; this one is of another type.",
    "Release the address with `fly ips release`; an egress address is no way in, and can stay.",
    Scope.PRIVATE,
)
NO_PRIVATE_ADDRESS = error(
    "no-private-address",
    "Without a Flycast address nobody on the private network can wake the app.",
    "Allocate one with `fly ips allocate-v6 --private`, unless the app is to be public or a worker.",
    Scope.PRIVATE,
)
STRANGE_ADDRESS = error(
    "strange-address",
    "Flycast addresses lie in fdaa::/16: this one is not on the private network.",
    "Look at it with `fly ips list`, release it and allocate another.",
)
RULES = (PUBLIC_ADDRESS, NOT_PRIVATE, NO_PRIVATE_ADDRESS, STRANGE_ADDRESS)


@dataclass(frozen=True, slots=True)
class Address:
    """One row of the list; both texts are as they came."""

    text: str
    kind: str


def addresses_in(content: bytes) -> tuple[Address, ...]:
    """Read the output of `fly ips list --json`; raise `UsageError` when it is none."""
    return tuple(Address(text, kind) for text, kind in _rows(content))


def shows_private(addresses: Iterable[Address]) -> bool:
    """Return whether one of the addresses shows that the app is to be private."""
    return any(address.kind == _PRIVATE for address in addresses)


def judge_addresses(addresses: Sequence[Address], app_name: str) -> tuple[Finding, ...]:
    """Judge the addresses of an app."""
    app = app_name if is_app_name(app_name) else "APP"
    found = [finding for number, row in enumerate(addresses) for finding in _of_row(f"[{number}]", row, app)]
    if not shows_private(addresses):
        message = f"no private address (private_v6) among {len(addresses)}"
        found.append(NO_PRIVATE_ADDRESS.broken("", message, f"fly ips allocate-v6 --private -a {app}"))
    return tuple(found)


def _of_row(where: str, row: Address, app: str) -> Iterator[Finding]:
    address, kind = row.text, row.kind
    if kind in _EGRESS:
        return
    if kind == _PRIVATE:
        if not _is_six_pn(address):
            message = f"expected an address in {_SIX_PN}, got {address!r:.60}"
            yield STRANGE_ADDRESS.broken(where, message, f"look at it: fly ips list -a {app}")
        return
    fix = f"fly ips release {quote(f'{address:.60}')} -a {app}"
    if kind in _PUBLIC:
        yield PUBLIC_ADDRESS.broken(where, f"public address {address:.60} ({kind})", fix)
    else:
        yield NOT_PRIVATE.broken(where, f"address {address:.60} of the unknown type {kind!r:.40}", fix)


def _is_six_pn(address: str) -> bool:
    try:
        return ip_address(address) in _SIX_PN
    except ValueError:
        return False


def _rows(content: bytes) -> list[tuple[str, str]]:
    """Return address and type of each row; keys match whatever their case."""
    if len(content) > MAX_BYTES:
        raise UsageError(f"--ips: expected {_EXPECTED}, got more than {MAX_BYTES} bytes")
    try:
        rows = json.loads(content)
    except (ValueError, RecursionError) as error:
        reason = f"{error}" if isinstance(error, json.JSONDecodeError) else "what cannot be read"
        raise UsageError(f"--ips: expected {_EXPECTED}, got no JSON: {reason}") from error
    if not isinstance(rows, list | None):
        raise UsageError(f"--ips: expected {_EXPECTED}, got {_kind(rows)}")
    return [_row(number, row) for number, row in enumerate(rows or [])]


def _row(number: int, row: Any) -> tuple[str, str]:
    if not isinstance(row, dict):
        raise UsageError(f"--ips: expected {_EXPECTED}, got {_kind(row)} as entry {number}")
    folded = {key.lower(): value for key, value in row.items()}
    address, kind = folded.get("address"), folded.get("type")
    if not isinstance(address, str) or not isinstance(kind, str):
        raise UsageError(f"--ips: expected {_EXPECTED}, got entry {number} without one of them as text")
    return address, kind


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")
