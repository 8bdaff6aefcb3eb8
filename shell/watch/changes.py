"""What changed between two looks at an app's Machines.

Rules
- `all.vms` lists the deployed Machines, `vms` the started ones; the difference is asleep (docs/fly.md, "DNS"). A
  Machine that neither lists is absent: destroyed, or not created yet.
- A change is told with the time of the look that showed it. It came up to one interval earlier, or one outage, and DNS
  lags up to its TTL of 5 s. A state that was there at the first look has lasted at least as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from shell.answers import ListedMachine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from shell.asleep import AppView


class State(StrEnum):
    """What DNS says of a Machine."""

    STARTED = "started"
    ASLEEP = "asleep"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Moment:
    """The time of day, and the seconds of a clock that nobody sets."""

    wall: datetime
    seconds: float


@dataclass(frozen=True, slots=True)
class Row:
    """A Machine and its state since a moment; since before that when `at_least`."""

    machine: ListedMachine
    state: State
    since: Moment
    at_least: bool


@dataclass(frozen=True, slots=True)
class Change:
    """A Machine that went from one state into another; `before` is None at the first look."""

    moment: Moment
    machine: ListedMachine
    before: State | None
    after: State
    after_seconds: float | None = None
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class OutageBegan:
    """DNS stopped telling."""

    moment: Moment
    reason: str


@dataclass(frozen=True, slots=True)
class OutageEnded:
    """DNS tells again."""

    moment: Moment
    after_seconds: float


Event = Change | OutageBegan | OutageEnded


def first_look(view: AppView, moment: Moment) -> tuple[dict[str, Row], tuple[Change, ...]]:
    """Return the rows after the first look, and each as a change from nothing known."""
    seen = _states(view)
    rows = {machine_id: Row(*seen[machine_id], moment, at_least=True) for machine_id in sorted(seen)}
    return rows, tuple(Change(moment, row.machine, None, row.state) for row in rows.values())


def compare(rows: Mapping[str, Row], view: AppView, moment: Moment) -> tuple[dict[str, Row], tuple[Change, ...]]:
    """Return the rows after a look, and what changed, by Machine ID."""
    seen = _states(view)
    later: dict[str, Row] = {}
    changes: list[Change] = []
    for machine_id in sorted({*rows, *seen}):
        row = rows.get(machine_id)
        machine, state = seen.get(machine_id) or (row.machine if row else ListedMachine(machine_id, ""), State.ABSENT)
        if row and row.state is state:
            later[machine_id] = row
            continue
        if state is not State.ABSENT:
            later[machine_id] = Row(machine, state, moment, at_least=False)
        changes.append(
            Change(moment, machine, row.state, state, moment.seconds - row.since.seconds, row.at_least)
            if row
            else Change(moment, machine, State.ABSENT, state)
        )
    return later, tuple(changes)


def _states(view: AppView) -> dict[str, tuple[ListedMachine, State]]:
    asleep = {machine.machine_id: (machine, State.ASLEEP) for machine in view.deployed}
    return asleep | {machine.machine_id: (machine, State.STARTED) for machine in view.started}
