"""Which fault in force allows which error: what Fly would give the client for it.  Pure.

Rules (docs/fly.md, "DNS", "Proxy" and "Sleep and wake"; the lab's codes in `lab.proxy.errors`)

- Over Flycast a stop, a start, a slow bind, a race with a stop, late or old names and idle connections allow nothing:
  the proxy wakes, waits, sends elsewhere, and what was accepted is drained.  WebSockets get 1001 before a stop.
- An app that is killed takes what it was doing with it: 502, or the end of an answer that had begun; a request whose
  Machines all end under it gets 503.  A Machine that is suspended cuts its connections: the same, but a GET without a
  byte of answer is sent again.
- Names that get lost end in an error of the resolver.
- More at once than the hard limits allow: 503 after the queue's time.
- Over 6PN there is no proxy: whatever happens to the Machine that was dialled happens to the client.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from tests.lab.soak.results import Outcome, Traffic, Way

if TYPE_CHECKING:
    from collections.abc import Collection


class Cause(StrEnum):
    """What was the matter at some moment of a request."""

    KILLED = "an app ended by a signal"
    STOPPED = "a Machine was told to stop"
    SUSPENDED = "a Machine was suspended"
    LOST_NAMES = "names got lost"
    FLOOD = "a flood"
    NOT_SERVING = "the Machine that was dialled did not serve all the time"


_CUT: Final = frozenset({Outcome.RESET, Outcome.CLOSED})
_BROKEN: Final = _CUT | {Outcome.BAD_GATEWAY}
_GETS: Final = frozenset({Traffic.KEEP_ALIVE, Traffic.NEW, Traffic.SLOW, Traffic.PIPELINED, Traffic.FLOOD})
_HELLOS: Final = frozenset({Traffic.SILENT, Traffic.TALKER})
_HTTP: Final = _GETS | {Traffic.BIG, Traffic.WEBSOCKET}
_ALL: Final = frozenset(Traffic)

EXCUSES: Final = (
    (Way.FLYCAST, Cause.KILLED, _HTTP, _BROKEN | {Outcome.UNAVAILABLE}),
    (Way.FLYCAST, Cause.KILLED, _HELLOS, _CUT),
    (Way.FLYCAST, Cause.STOPPED, frozenset({Traffic.WEBSOCKET}), frozenset({Outcome.GOODBYE})),
    (Way.FLYCAST, Cause.SUSPENDED, frozenset({Traffic.BIG}), _BROKEN),
    (Way.FLYCAST, Cause.SUSPENDED, frozenset({Traffic.WEBSOCKET}), _BROKEN | {Outcome.GOODBYE}),
    (Way.FLYCAST, Cause.SUSPENDED, _HELLOS, _CUT),
    (Way.FLYCAST, Cause.LOST_NAMES, _ALL, frozenset({Outcome.NO_NAME, Outcome.TIMEOUT})),
    (Way.FLYCAST, Cause.FLOOD, _HTTP, frozenset({Outcome.UNAVAILABLE})),
    (Way.SIX_PN, Cause.LOST_NAMES, _ALL, frozenset({Outcome.NO_NAME, Outcome.TIMEOUT})),
    (
        Way.SIX_PN, Cause.NOT_SERVING, _ALL,
        _CUT | {Outcome.NO_NAME, Outcome.REFUSED, Outcome.UNREACHABLE, Outcome.TIMEOUT, Outcome.GOODBYE},
    ),
)  # fmt: skip


def allowed(way: Way, traffic: Traffic, causes: Collection[Cause]) -> frozenset[Outcome]:
    """Return the outcomes that a request may have, beside its own answer."""
    rows = (row for row in EXCUSES if row[0] is way and row[1] in causes and traffic in row[2])
    return frozenset({Outcome.OK}).union(*(outcomes for *_, outcomes in rows))
