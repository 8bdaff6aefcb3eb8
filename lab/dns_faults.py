"""A nameserver with faults: questions that get lost, answers that leave late, names that tell of the past.

They sit around the nameserver, which knows nothing of them.  Over TCP nothing is lost or late.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from lab.faults import Faults
    from lab.log import EventLog

T = TypeVar("T")


class FaultySocket(socket.socket):
    """A bound UDP socket that loses what comes and holds back what goes."""

    def __init__(self, sound: socket.socket, faults: Faults, rng: random.Random, log: EventLog) -> None:
        """Take the place of `sound`, which is detached; each fault is told to `log`."""
        super().__init__(fileno=sound.detach())
        self._faults = faults
        self._rng = rng
        self._log = log

    def recvfrom(self, *arguments: Any) -> tuple[bytes, Any]:
        """Receive a datagram; raise `BlockingIOError` in place of one that is lost."""
        received = super().recvfrom(*arguments)
        if self._rng.random() * 100 < self._faults.lost_dns_percent:
            self._log("dns", "fault lost-dns: a question is not answered", level="warn")
            raise BlockingIOError
        return received

    def sendto(self, data: Any, *arguments: Any) -> int:
        """Send a datagram, late if that is the fault."""
        if not self._faults.dns_delay_ms:
            return super().sendto(data, *arguments)
        self._log("dns", f"fault dns-delay: an answer leaves {self._faults.dns_delay_ms:g}ms late", level="warn")
        loop = asyncio.get_running_loop()
        loop.call_later(self._faults.dns_delay_ms / 1000, self._send_late, data, *arguments)
        return len(data)

    def _send_late(self, data: Any, *arguments: Any) -> None:
        if self.fileno() >= 0:
            super().sendto(data, *arguments)


def faulty(sound: socket.socket, faults: Faults, rng: random.Random, log: EventLog) -> socket.socket:
    """Return the socket itself, or one with the faults in its place."""
    return FaultySocket(sound, faults, rng, log) if faults.lost_dns_percent or faults.dns_delay_ms else sound


class Past(Generic[T]):
    """What something was some seconds ago; before that, the first that was seen of it."""

    def __init__(self, look: Callable[[], T], seconds: float, clock: Callable[[], float], log: EventLog) -> None:
        """Watch what `look` returns; `clock` is in seconds."""
        self._look = look
        self._seconds = seconds
        self._clock = clock
        self._log = log
        self._seen = [(clock(), look())]

    def note(self) -> None:
        """Look now, because something has changed."""
        now = self._look()
        if now != self._seen[-1][1]:
            self._seen.append((self._clock(), now))
            self._log("dns", f"fault stale-dns: names tell of this change in {self._seconds:g}s", level="warn")

    def __call__(self) -> T:
        """Return what it was."""
        known_since = self._clock() - self._seconds
        while len(self._seen) > 1 and self._seen[1][0] <= known_since:
            self._seen.pop(0)
        return self._seen[0][1]
