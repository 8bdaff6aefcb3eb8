"""What is going on: who is connected, what they wait for, and what was served so far.

Work is what somebody wants of this service. Fly's own health checks, scrapes, refused callers and a connection that
asks nothing are not work: they must not keep an idle Machine up (IDLE_EXIT_SECONDS). A raw session through Fly Proxy
without a PROXY preface may be a health check: it is work while it is open, and does not restart the idle time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING

from private_svc.boot import clock
from private_svc.ingress import Ingress

if TYPE_CHECKING:
    from private_svc.ingress import Caller


class Greeted(StrEnum):
    """How the raw port received a caller."""

    GREETED = "greeted"
    REFUSED = "refused"
    NO_PREFACE = "no_preface"
    BAD_PREFACE = "bad_preface"


class Visit:
    """One open connection; `doing` says what it waits for, and is empty while nothing was asked."""

    __slots__ = ("caller", "doing", "doing_since_s", "is_work", "listener", "since_s")

    def __init__(self, listener: str, caller: Caller) -> None:
        self.listener = listener
        self.caller = caller
        self.since_s = clock()
        self.doing = ""
        self.doing_since_s = self.since_s
        self.is_work = False


class Activity:
    """Counts since the start, and who is here at this moment; times in seconds of `boot.clock`."""

    __slots__ = (
        "answers",
        "drained",
        "hellos",
        "last_work_s",
        "quiet",
        "refused",
        "requests",
        "throttled",
        "visits",
        "working",
    )

    def __init__(self) -> None:
        self.requests: Counter[Ingress] = Counter()
        self.answers: Counter[tuple[Ingress, int]] = Counter()
        self.hellos: Counter[tuple[Ingress, Greeted]] = Counter()
        self.refused: Counter[Ingress] = Counter()
        self.throttled = 0
        self.drained = 0
        self.working = 0
        self.quiet = asyncio.Event()  # set while nobody waits for work
        self.quiet.set()
        self.last_work_s = clock()
        self.visits: dict[Visit, None] = {}  # the longest here first

    def arrive(self, listener: str, caller: Caller) -> Visit:
        """Note a new connection."""
        visit = Visit(listener, caller)
        self.visits[visit] = None
        return visit

    def leave(self, visit: Visit) -> None:
        """Note the end of a connection, and of what it waited for."""
        self.done(visit)
        self.visits.pop(visit, None)

    def begin(self, visit: Visit, doing: str, *, is_work: bool) -> None:
        """Note that a connection waits for something."""
        self.done(visit)
        visit.doing, visit.doing_since_s = doing, clock()
        if is_work:
            self.works(visit)

    def works(self, visit: Visit) -> None:
        """Note that what a connection waits for is work."""
        visit.is_work = True
        self.working += 1
        self.quiet.clear()

    def done(self, visit: Visit) -> None:
        """Note that a connection has got what it waited for."""
        if not visit.doing:
            return
        if visit.is_work:
            self.working -= 1
            if visit.caller.ingress is not Ingress.PLATFORM:
                self.last_work_s = clock()
            if not self.working:
                self.quiet.set()
        visit.doing, visit.is_work = "", False
