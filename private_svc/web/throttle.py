"""How many wrong guesses a client may make: a handful at once, then one now and then.

A Machine has a whole /112 of 6PN addresses (FLY_FACTS section 1), so that is one client; elsewhere an IPv6 client is a
/64 and an IPv4 client one address. The table is bounded: the client who guessed longest ago is forgotten first.
"""

from __future__ import annotations

import time
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING

from private_svc.ingress import SIX_PN, parse

if TYPE_CHECKING:
    from collections.abc import Callable

GUESSES = 5
SECONDS_A_GUESS = 10.0  # after which one more is allowed
CLIENTS_AT_MOST = 1024


class Throttle:
    """Keeps account of wrong guesses, by client; times in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._guesses: dict[str, tuple[float, float]] = {}  # how many count at a moment, the latest last

    def wait_seconds(self, client: str) -> float:
        """Return how long `client` has to wait before it may guess; 0 when it may now."""
        return max(0.0, (self._counted(_whole(client)) - GUESSES + 1) * SECONDS_A_GUESS)

    def wrong(self, client: str) -> None:
        """Note a wrong guess."""
        key = _whole(client)
        counted = self._counted(key)
        self._guesses.pop(key, None)
        self._guesses[key] = counted + 1, self._clock()
        if len(self._guesses) > CLIENTS_AT_MOST:
            del self._guesses[next(iter(self._guesses))]

    def _counted(self, key: str) -> float:
        count, then_s = self._guesses.get(key, (0.0, 0.0))
        return max(0.0, count - (self._clock() - then_s) / SECONDS_A_GUESS)


def _whole(client: str) -> str:
    """Return what counts as one client."""
    address = parse(client)
    if not isinstance(address, IPv6Address):
        return client if address is None else str(address)
    return str(IPv6Network((address, 112 if address in SIX_PN else 64), strict=False))
