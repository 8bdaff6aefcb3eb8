"""What the blueprint's own service says at `/api/status`; another app's answer is None.

Where an application of yours has every path (`APP_PATH=/`), the service says the same at `/_/api/status`.

Contract: JSON with `you.ingress`, `requests` by ingress, `refused`, and `listeners` with
`address` as `[::]:8080` and `reach`, which names Flycast where Fly Proxy reaches the socket.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shell.doctor.probes import Reached

if TYPE_CHECKING:
    from collections.abc import Callable

    from shell.doctor.probes import Tried

PATHS = ("/api/status", "/_/api/status")
FLYCAST = "flycast"
_FOUND = 200
_FORBIDDEN = 403
_REFUSALS = {
    b"403: this service is private, and you came in through a public address": "public",
    b"403: this service is private, and it does not know the network": "unknown",
}
_MAX_WORD = 40


@dataclass(frozen=True, slots=True)
class ServiceView:
    """How the service took this caller, how many public ones it saw, and the ports it binds for Fly Proxy."""

    ingress: str
    public_requests: int = 0
    ports_for_proxy: frozenset[int] = frozenset()


def find_view(fetch: Callable[[str], Tried]) -> tuple[Tried, ServiceView | None]:
    """Return the first answer that is the blueprint's service's and what it says; else the first answer, and None."""
    first = fetch(PATHS[0])
    view = read_view(first)
    if view is None and first.reached is Reached.ANSWERED:
        second = fetch(PATHS[1])
        if view := read_view(second):
            return second, view
    return first, view


def read_view(tried: Tried) -> ServiceView | None:
    """Return what the service says; None when it is not the blueprint's."""
    if tried.status == _FORBIDDEN:
        refused = (ingress for words, ingress in _REFUSALS.items() if tried.said.startswith(words))
        return next(map(ServiceView, refused), None)
    if tried.status != _FOUND:
        return None
    try:
        status = json.loads(tried.said)
    except (ValueError, RecursionError):
        return None
    ingress = _at(_at(status, "you"), "ingress")
    if not isinstance(ingress, str):
        return None
    counts = (_at(_at(status, "requests"), "public"), _at(status, "refused"))
    public = max((count for count in counts if isinstance(count, int)), default=0)
    return ServiceView(ingress[:_MAX_WORD], public, _ports(_at(status, "listeners")))


def _ports(listeners: Any) -> frozenset[int]:
    """Return the ports of listeners that Fly Proxy reaches."""
    found = listeners if isinstance(listeners, list) else []
    reached = (str(_at(it, "address")) for it in found if FLYCAST in str(_at(it, "reach")).lower())
    ends = (address.rpartition(":")[2] for address in reached)
    return frozenset(int(end) for end in ends if end.isascii() and end.isdecimal() and len(end) <= len("65535"))


def _at(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None
