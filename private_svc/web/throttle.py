"""How many wrong guesses a caller may make: a leaky bucket for each address, and one for its network.

An address alone would not do: a Machine has a whole /112 of 6PN addresses (docs/fly.md, "Addresses"), and elsewhere an
IPv6 caller has a /64. A network alone would not do either: laptops behind one gateway share it. So a network may guess
more often than one address. The table is bounded: the guess that was longest ago is forgotten first.
"""

from __future__ import annotations

import time
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING

from private_svc.ingress import SIX_PN, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GUESSES = 5
GUESSES_OF_NETWORK = 20
SECONDS_A_GUESS = 10.0  # after which one more is allowed
ENTRIES_AT_MOST = 1024


class Throttle:
    """Counts wrong guesses, by address and by network; times in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._guesses: dict[str, tuple[float, float]] = {}  # by address or network: how many, and when; the latest last

    def wait_seconds(self, client: str) -> float:
        """Return how long `client` has to wait before it may guess; 0 when it may now."""
        return max(0.0, *((self._counted(key) - most + 1) * SECONDS_A_GUESS for key, most in _limits(client)))

    def wrong(self, client: str) -> None:
        """Count a wrong guess."""
        for key, _ in _limits(client):
            counted = self._counted(key)
            self._guesses.pop(key, None)
            self._guesses[key] = counted + 1, self._clock()
        while len(self._guesses) > ENTRIES_AT_MOST:
            del self._guesses[next(iter(self._guesses))]

    def _counted(self, key: str) -> float:
        count, then_s = self._guesses.get(key, (0.0, 0.0))
        return max(0.0, count - (self._clock() - then_s) / SECONDS_A_GUESS)


def _limits(client: str) -> Iterator[tuple[str, int]]:
    """Yield what the guesses of `client` count for, and how many of them are free."""
    address = parse(client)
    yield str(address or client), GUESSES
    if isinstance(address, IPv6Address):
        yield str(IPv6Network((address, 112 if address in SIX_PN else 64), strict=False)), GUESSES_OF_NETWORK
    elif address is not None:
        yield str(IPv4Network((address, 24), strict=False)), GUESSES_OF_NETWORK
