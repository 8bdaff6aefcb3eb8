"""Which Machine autostop lets sleep, as arithmetic; where a request goes is `lab.proxy.choice`.

Rules (docs/fly.md, "Sleep and wake"):

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

from shell.flytoml import AutoStop

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


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
