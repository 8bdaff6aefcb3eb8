"""Which Machine a request gets.  Pure.

Rules (docs/fly.md, "Proxy" and "Sleep and wake"):

- Regions are asked from the closest on. A soft limit never sends a request to a farther region; only a region
  with nothing started, or with everything at its hard limit, does.
- In a region the least loaded Machine below its soft limit wins, ties by chance. With none below it, a sleeping
  Machine of this region or a closer one is woken; with none asleep, the least loaded one below the hard limit wins.
- While one Machine starts, requests join it up to its soft limit, and beyond it rather than start a second one.
- With nothing started anywhere the closest sleeping Machine is woken; one that is stopping, once it has stopped.
- Everything at its hard limit: wait. Everything asleep without autostart: refused.
- A request can wish for regions, in their order, or for one Machine: first, or only. It can shun one Machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lab.regions import distance_km
from lab.states import ASLEEP, FALLING_ASLEEP, MachineState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from random import Random

_UP: Final = (MachineState.STARTED, MachineState.STARTING)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A Machine that could take a request; `load` counts what is running on it and what is reserved."""

    machine_id: str
    region: str
    state: MachineState
    load: int


@dataclass(frozen=True, slots=True)
class Route:
    """Use this started Machine."""

    machine_id: str


@dataclass(frozen=True, slots=True)
class Wake:
    """Start this Machine, or join its start, then use it; wait first if it is still stopping."""

    machine_id: str


@dataclass(frozen=True, slots=True)
class Queue:
    """Every Machine is at its hard limit: wait for room."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """No Machine can take the request and waiting would not help."""


Decision = Route | Wake | Queue | Refuse


@dataclass(frozen=True, slots=True)
class Rules:
    """What a service's Machines may take, and where the request reached the proxy."""

    region: str
    soft_limit: int
    hard_limit: int | None
    auto_start: bool

    def leave_room(self, candidate: Candidate) -> bool:
        """Tell whether the hard limit lets this Machine take one more."""
        return self.hard_limit is None or candidate.load < self.hard_limit


@dataclass(frozen=True, slots=True)
class Wish:
    """Where a request asks to go; each member of `regions` is a set of equals, tried in their order."""

    regions: tuple[frozenset[str], ...] = ()
    regions_only: bool = False
    machine_id: str = ""
    machine_only: bool = False
    shunned: str = ""


NO_WISH: Final = Wish()


def choose(candidates: Sequence[Candidate], rules: Rules, wish: Wish, rng: Random) -> Decision:
    """Return where one request goes."""
    if wish is NO_WISH:
        if len(candidates) == 1 and _is_below_soft(candidates[0], rules):
            return Route(candidates[0].machine_id)  # as the rules have it, at a fraction of what they take
        return _choose_among(candidates, rules, rng)
    decision: Decision = Refuse()
    for wished in _wished(candidates, wish):
        found = _choose_among(wished, rules, rng)
        if isinstance(found, Route | Wake):
            return found
        if isinstance(found, Queue):
            decision = found
    return decision


def _wished(candidates: Sequence[Candidate], wish: Wish) -> Iterator[list[Candidate]]:
    left = [c for c in candidates if c.machine_id != wish.shunned]
    if wish.machine_id:
        yield [c for c in left if c.machine_id == wish.machine_id]
        if wish.machine_only:
            return
    for regions in wish.regions:
        yield [c for c in left if c.region in regions]
    if not wish.regions_only:
        yield left


def _choose_among(candidates: Sequence[Candidate], rules: Rules, rng: Random) -> Decision:
    asleep: list[Candidate] = []
    for here in _regions(candidates, rules.region):
        up = [c for c in here if c.state in _UP]
        with_room = [c for c in up if rules.leave_room(c)]
        for state in _UP:
            if below_soft := [c for c in with_room if c.state is state and c.load < rules.soft_limit]:
                return _use(below_soft, rng)
        if rules.auto_start and not asleep:
            asleep = [c for c in here if c.state in ASLEEP and rules.leave_room(c)]
        if asleep and up and not any(c.state is MachineState.STARTING for c in with_room):
            return _use(asleep, rng)
        if with_room:
            return _use(with_room, rng)
    if asleep:
        return _use(asleep, rng)
    stopping = [c for c in candidates if rules.auto_start and c.state in FALLING_ASLEEP and rules.leave_room(c)]
    for here in _regions(stopping, rules.region):
        return _use(here, rng)
    return Queue() if any(rules.auto_start or c.state in _UP for c in candidates) else Refuse()


def _is_below_soft(candidate: Candidate, rules: Rules) -> bool:
    return candidate.state is MachineState.STARTED and candidate.load < rules.soft_limit and rules.leave_room(candidate)


def _regions(candidates: Sequence[Candidate], region: str) -> Iterable[Sequence[Candidate]]:
    """Return the candidates of each region, the closest region first."""
    if len(candidates) < 2:  # noqa: PLR2004 - one needs no order
        return [candidates] if candidates else []
    by_region: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        by_region.setdefault(candidate.region, []).append(candidate)
    return [by_region[name] for name in sorted(by_region, key=lambda name: (distance_km(region, name), name))]


def _use(among: Sequence[Candidate], rng: Random) -> Decision:
    """Return the way to the least loaded one."""
    least = min(c.load for c in among)
    best = [c for c in among if c.load == least]
    one = best[0] if len(best) == 1 else rng.choice(best)
    return (Route if one.state is MachineState.STARTED else Wake)(one.machine_id)
