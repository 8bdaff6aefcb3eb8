"""What goes wrong when: a seed gives an endless sequence of faults, always the same one.  Pure.

Rules

- Times are soak time: seconds under load, which stand still while the lab rests.
- Faults overlap; the quiet between some is long enough for everything to be well again, and then nothing may fail.
- A rest comes about every `REST_SECONDS`: load and faults end, and the lab must be as small as it was before.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

WARM_UP_SECONDS = 8.0
REST_SECONDS = 40.0
_USUAL_GAP_SECONDS = (0.1, 2.5)
_QUIET_SECONDS = (6.0, 12.0)
_QUIET_ODDS = 0.15


class Fault(StrEnum):
    """What can go wrong; those of `SWITCHED` are names of `flycast-lab fault`."""

    KILL = "kill"
    STOP = "stop"
    START = "start"
    SUSPEND = "suspend"
    SLOW_BIND = "slow-bind"
    CRASH = "crash-mid-request"
    IGNORE_SIGINT = "ignore-sigint"
    STOP_RACE = "stop-race"
    STALE_DNS = "stale-dns"
    LOST_DNS = "lost-dns"
    DNS_DELAY = "dns-delay"
    IDLE_CROWD = "idle-crowd"
    FLOOD = "flood"
    REST = "rest"


@dataclass(frozen=True, slots=True)
class Kind:
    """How often a fault comes, how strong it is, and for how long."""

    weight: int
    value: tuple[float, float] = (0, 0)
    hold_seconds: tuple[float, float] = (0, 0)


KINDS = {
    Fault.KILL: Kind(4),
    Fault.STOP: Kind(6),
    Fault.START: Kind(6),
    Fault.SUSPEND: Kind(5),
    Fault.SLOW_BIND: Kind(2, (1, 3), (3, 10)),
    Fault.CRASH: Kind(2, (60, 400), (1, 4)),
    Fault.IGNORE_SIGINT: Kind(1, hold_seconds=(3, 8)),
    Fault.STOP_RACE: Kind(2, (50, 800), (3, 10)),
    Fault.STALE_DNS: Kind(2, (1, 8), (4, 12)),
    Fault.LOST_DNS: Kind(2, (5, 60), (2, 8)),
    Fault.DNS_DELAY: Kind(2, (20, 900), (2, 8)),
    Fault.IDLE_CROWD: Kind(2, (50, 400), (2, 8)),
    Fault.FLOOD: Kind(2, (50, 300), (2, 2)),
}
SWITCHED = frozenset(
    {
        Fault.SLOW_BIND,
        Fault.CRASH,
        Fault.IGNORE_SIGINT,
        Fault.STOP_RACE,
        Fault.STALE_DNS,
        Fault.LOST_DNS,
        Fault.DNS_DELAY,
    }
)
CROWDS = frozenset({Fault.IDLE_CROWD, Fault.FLOOD})


@dataclass(frozen=True, slots=True)
class Step:
    """One fault: when it begins in soak time, how strong it is, how long it stays, and which Machine it is about."""

    at_seconds: float
    fault: Fault
    value: int = 0
    hold_seconds: float = 0
    machine: int = 0

    def __str__(self) -> str:
        """Return it for a person: the time, what, how much, how long."""
        value = f"={self.value}" if self.value else ""
        hold = f" for {self.hold_seconds:.1f}s" if self.hold_seconds else ""
        machine = "" if self.hold_seconds or self.fault is Fault.REST else f" Machine {self.machine}"
        return f"{self.at_seconds:8.2f} {self.fault}{value}{hold}{machine}"


def schedule(seed: int, machines: int) -> Iterator[Step]:
    """Yield the steps of `seed` for a lab of so many Machines, in the order of their beginnings, without end."""
    rng = random.Random(seed)  # noqa: S311 - the same history every time
    yield Step(WARM_UP_SECONDS, Fault.REST)
    at = rested = WARM_UP_SECONDS
    while True:
        at += rng.uniform(*(_QUIET_SECONDS if rng.random() < _QUIET_ODDS else _USUAL_GAP_SECONDS))
        if at - rested >= REST_SECONDS:
            rested = at
            yield Step(at, Fault.REST)
        else:
            yield _step(at, rng, machines)


def _step(at: float, rng: random.Random, machines: int) -> Step:
    (fault,) = rng.choices(list(KINDS), [kind.weight for kind in KINDS.values()])
    kind = KINDS[fault]
    value, hold_seconds = round(rng.uniform(*kind.value)), rng.uniform(*kind.hold_seconds)
    return Step(at, fault, value, hold_seconds, rng.randrange(machines))
