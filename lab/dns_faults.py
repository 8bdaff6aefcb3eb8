"""A nameserver with faults: questions that get lost, answers that leave late, names that tell of the past.

They sit around the nameserver, which knows nothing of them.  Over TCP nothing is lost or late.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
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
        if self._faults.lost_dns_percent and self._rng.random() * 100 < self._faults.lost_dns_percent:
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
        with suppress(OSError):  # closed meanwhile, or no room to send: UDP may lose
            super().sendto(data, *arguments)


class Past(Generic[T]):
    """What something was `seconds` ago; before that, the first that was seen of it.  With 0 it is what is."""

    def __init__(self, look: Callable[[], T], seconds: float, clock: Callable[[], float], log: EventLog) -> None:
        """Watch what `look` returns; `clock` is in seconds."""
        self._look = look
        self._clock = clock
        self._log = log
        self._seconds = 0.0
        self.seconds = seconds

    @property
    def seconds(self) -> float:
        """How long ago; switched on, what is now becomes the first that was seen."""
        return self._seconds

    @seconds.setter
    def seconds(self, seconds: float) -> None:
        if not self._seconds:
            self._seen = [(self._clock(), self._look())]
        self._seconds = seconds

    def note(self) -> None:
        """Look now, because something has changed."""
        if not self.seconds:  # nobody will ask; with hundreds of Machines a look at every change takes seconds
            return
        now = self._look()
        if now != self._seen[-1][1]:
            self._seen.append((self._clock(), now))
            self._log("dns", f"fault stale-dns: names tell of this change in {self.seconds:g}s", level="warn")
        self._forget()

    def __call__(self) -> T:
        """Return what it was."""
        if not self.seconds:
            return self._look()
        self._forget()
        return self._seen[0][1]

    def _forget(self) -> None:
        """Let go of what is longer ago than anybody will ask for."""
        known_since = self._clock() - self.seconds
        while len(self._seen) > 1 and self._seen[1][0] <= known_since:
            self._seen.pop(0)
