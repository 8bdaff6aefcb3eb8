"""What Fly Proxy decides about Machines, as arithmetic: where a request goes, and which Machine may sleep.

Rules (FLY_FACTS section 5):

- A Machine below its soft limit is eligible. At or above the soft limit it is eligible only if no Machine is
  below. At or above the hard limit it takes nothing.
- Of the eligible ones the closest region wins, then the least load, then chance.
- No started Machine below the soft limit and a sleeping one with autostart: that one is woken. While one
  Machine starts, requests join it up to its soft limit, and beyond it rather than start a second one.
- A Machine that is stopping or suspending is woken once it has stopped. Everything asleep without autostart: refused.
- Autostop looks at each region, and in it at each process group. More than one running:
  `excess = running - (over_soft_limit + 1)`, one may stop when `excess >= 1`. Exactly one: it may
  stop when its load is 0. At most one a region and pass. `min_machines_running` counts in the
  primary region only.
- The most restrictive service decides: one without autostop, or with any load, keeps the Machine awake.  A Machine is
  suspended when all its services ask for that, else it is stopped (our reading).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.states import ASLEEP, FALLING_ASLEEP, MachineState
from shell.flytoml import AutoStop

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from random import Random


@dataclass(frozen=True, slots=True)
class ServiceLoad:
    """One service on one Machine, as autostop sees it."""

    load: int
    soft_limit: int
    auto_stop: AutoStop
    min_machines_running: int


@dataclass(frozen=True, slots=True)
class MachineLoad:
    """One deployed Machine with the load of each of its services."""

    machine_id: str
    region: str
    process_group: str
    started: bool
    services: tuple[ServiceLoad, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """A Machine to stop or suspend; `left_running` of `deployed` stay up in its region and process group."""

    machine_id: str
    region: str
    process_group: str
    left_running: int
    deployed: int
    suspend: bool = False


def excess_capacity(running: int, over_soft_limit: int) -> int:
    """Return how many of `running` Machines are more than the load asks for."""
    return running - (over_soft_limit + 1)


def machines_to_stop(machines: Iterable[MachineLoad], *, primary_region: str) -> tuple[Stop, ...]:
    """Return what one autostop pass stops, ordered by region: at most one Machine a region."""
    groups: dict[tuple[str, str], list[MachineLoad]] = defaultdict(list)
    for machine in machines:
        groups[machine.region, machine.process_group].append(machine)
    stops: dict[str, Stop] = {}
    for (region, _), group in sorted(groups.items()):
        if region not in stops and (stop := _stop_in(group, in_primary=region == primary_region)):
            stops[region] = stop
    return tuple(stops.values())


def _stop_in(group: Sequence[MachineLoad], *, in_primary: bool) -> Stop | None:
    running = [machine for machine in group if machine.started]
    over = sum(any(s.load >= s.soft_limit for s in machine.services) for machine in running)
    if len(running) > 1 and excess_capacity(len(running), over) < 1:
        return None
    for machine in sorted(running, key=lambda m: m.machine_id):
        if _may_sleep(machine) and (not in_primary or len(running) > _wanted(machine)):
            suspend = all(service.auto_stop is AutoStop.SUSPEND for service in machine.services)
            left = len(running) - 1
            return Stop(machine.machine_id, machine.region, machine.process_group, left, len(group), suspend)
    return None


def _may_sleep(machine: MachineLoad) -> bool:
    return bool(machine.services) and all(
        service.auto_stop is not AutoStop.OFF and service.load == 0 for service in machine.services
    )


def _wanted(machine: MachineLoad) -> int:
    return max(service.min_machines_running for service in machine.services)


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


def choose(
    candidates: Sequence[Candidate],
    *,
    soft_limit: int,
    hard_limit: int | None,
    auto_start: bool,
    region: str,
    rng: Random,
) -> Decision:
    """Return where one request that reached the proxy in `region` goes."""
    room = [c for c in candidates if hard_limit is None or c.load < hard_limit]
    started = [c for c in room if c.state is MachineState.STARTED]
    if below_soft := [c for c in started if c.load < soft_limit]:
        return Route(_closest_least_loaded(below_soft, region, rng).machine_id)
    starting = [c for c in room if c.state is MachineState.STARTING]
    asleep = [c for c in room if auto_start and c.state in ASLEEP]
    stopping = [c for c in room if auto_start and c.state in FALLING_ASLEEP]

    def pick(among: Sequence[Candidate]) -> Candidate:
        return _closest_least_loaded(among, region, rng)

    if below_soft := [c for c in starting if c.load < soft_limit]:
        return Wake(pick(below_soft).machine_id)
    if asleep and not starting:
        return Wake(pick(asleep).machine_id)
    if busy := started + starting:
        best = pick(busy)
        return (Route if best.state is MachineState.STARTED else Wake)(best.machine_id)
    if stopping:
        return Wake(pick(stopping).machine_id)
    return Queue() if _waiting_helps(candidates, auto_start=auto_start) else Refuse()


def _waiting_helps(candidates: Sequence[Candidate], *, auto_start: bool) -> bool:
    up = (MachineState.STARTED, MachineState.STARTING)
    return any(auto_start or c.state in up for c in candidates)


def _closest_least_loaded(among: Sequence[Candidate], region: str, rng: Random) -> Candidate:
    if len(among) == 1:
        return among[0]

    def rank(candidate: Candidate) -> tuple[bool, str, int]:
        return candidate.region != region, candidate.region, candidate.load

    best = min(map(rank, among))
    return rng.choice([candidate for candidate in among if rank(candidate) == best])
