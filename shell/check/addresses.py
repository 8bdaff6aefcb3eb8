"""Whether an app has a private address, and no other.

Rules (docs/fly.md, "flyctl" and "Addresses")
- `fly ips list --json` is an array of objects with ID, Address, Type, Region, CreatedAt, ServiceName and Network; null
  is an app that has none.
- Only `private_v6` is private; a Type nobody knows is not. It lies in fdaa::/16.
- Addresses to go out by (`egress_v4`, `egress_v6`) are released by a command of their own.
"""

from __future__ import annotations

import json
from ipaddress import IPv6Network, ip_address
from shlex import quote
from typing import TYPE_CHECKING, Any

from shell.check.finding import error
from shell.errors import UsageError
from shell.names.grammar import is_app_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shell.check.finding import Finding

MAX_BYTES = 1 << 20
_SIX_PN = IPv6Network("fdaa::/16")
_PUBLIC = ("v4", "v6", "shared_v4")
_EXPECTED = "the output of `fly ips list --json`, an array of objects with Address and Type"

PUBLIC_ADDRESS = error("public-address", "Anybody on the Internet can reach the app through it, and wake it.")
NOT_PRIVATE = error("not-private", "A private app has private_v6 addresses only; this one leads somewhere else.")
NO_PRIVATE_ADDRESS = error(
    "no-private-address", "Without a Flycast address nobody on the private network can wake the app."
)
STRANGE_ADDRESS = error(
    "strange-address", "Flycast addresses lie in fdaa::/16: this one is not on the private network."
)
RULES = (PUBLIC_ADDRESS, NOT_PRIVATE, NO_PRIVATE_ADDRESS, STRANGE_ADDRESS)


def judge_addresses(content: bytes, app_name: str) -> tuple[Finding, ...]:
    """Judge the output of `fly ips list --json`; raise `UsageError` when it is none."""
    app = app_name if is_app_name(app_name) else "APP"
    rows = _rows(content)
    found = [finding for number, row in enumerate(rows) for finding in _of_row(f"[{number}]", row, app)]
    if not any(kind == "private_v6" for _, kind in rows):
        message = f"expected a private_v6 address, got none among {len(rows)}"
        found.append(NO_PRIVATE_ADDRESS.broken("", message, f"fly ips allocate-v6 --private -a {app}"))
    return tuple(found)


def _of_row(where: str, row: tuple[str, str], app: str) -> Iterator[Finding]:
    address, kind = row
    if kind == "private_v6":
        if not _is_six_pn(address):
            message = f"expected an address in {_SIX_PN}, got {address!r:.60}"
            yield STRANGE_ADDRESS.broken(where, message, f"look at it: fly ips list -a {app}")
        return
    verb = "release-egress" if kind.startswith("egress") else "release"
    fix = f"fly ips {verb} {quote(f'{address:.60}')} -a {app}"
    rule = PUBLIC_ADDRESS if kind in _PUBLIC else NOT_PRIVATE
    yield rule.broken(where, f"expected private_v6 addresses only, got {address:.60} of type {kind:.30}", fix)


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
