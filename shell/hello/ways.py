"""Listen to an app both ways: through Fly Proxy, and at every started Machine directly.

Rules
- Flycast first, because it wakes the app. 6PN after that: a sleeping Machine has no address (docs/fly.md, "DNS").
  When nobody was up before, DNS is given the time to show who is.
- Fly Proxy accepts before it has a Machine: what it could not reach is a connection accepted, then closed with
  nothing said (docs/fly.md, "Sleep and wake").
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from shell.answers import Answer, ListedMachine, Outcome, RecordType
from shell.asleep import Watch, look_at
from shell.errors import NotWellError
from shell.hello.hear import End, Heard, hear
from shell.names.grammar import meaning_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from shell.phases import Edge
    from shell.progress import Progress


class Way(StrEnum):
    """How a connection gets to the app."""

    FLYCAST = "Flycast"
    SIX_PN = "6PN"


_UNREACHED = "Fly Proxy could not reach the app: does it listen on [::] or 0.0.0.0 at the internal port? {logs}"
_LIKELY: dict[End | tuple[Way, End], str] = {
    End.NO_ROUTE: "is this machine on the private network?",
    End.SILENT: "no first word within {timeout}: the service waits for its client, or is not up yet; {logs}",
    End.EMPTY: "the app itself ended it; {logs}",
    End.CUT: "the app itself ended it; {logs}",
    End.RESET: "what it said can be lost on the way: read until the client has closed its half before closing; {logs}",
    End.REFUSED: "nothing listens there: bind [::]:{port} dual stack, which 6PN and Fly Proxy both reach",
    (Way.FLYCAST, End.REFUSED): "does fly.toml have a [[services.ports]] with port = {port}? Deploy after a change",
    (Way.FLYCAST, End.EMPTY): _UNREACHED,
    (Way.FLYCAST, End.CUT): _UNREACHED,
}


@dataclass(frozen=True, slots=True)
class Door:
    """Where to knock; the Machine is known only on 6PN."""

    way: Way
    address: str
    machine: ListedMachine | None = None

    def __str__(self) -> str:
        """Name the way, and the Machine where it is known."""
        return f"{self.way} of Machine {self.machine.machine_id}" if self.machine else f"{self.way}"


@dataclass(frozen=True, slots=True)
class Hello:
    """One connection and where it went."""

    door: Door
    heard: Heard


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: `count` connections each way, each for at most `timeout_seconds`."""

    app_name: str
    port: int
    count: int = 1
    timeout_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Hearing:
    """Everything that was heard, who was left asleep, and why a way could not be tried."""

    plan: Plan
    hellos: tuple[Hello, ...] = ()
    asleep: tuple[ListedMachine, ...] = ()
    untried: tuple[str, ...] = ()

    @property
    def troubles(self) -> tuple[str, ...]:
        """Say what is not well, one line for each way and kind of failure, with its likely cause."""
        failed = [hello for hello in self.hellos if not hello.heard.end.is_well]
        kinds = dict.fromkeys((hello.door, hello.heard.end) for hello in failed)
        return (*self.untried, *(self._trouble(door, end) for door, end in kinds))

    def _trouble(self, door: Door, end: End) -> str:
        ends = [hello.heard.end for hello in self.hellos if hello.door == door]
        times = f" ({ends.count(end)} of {len(ends)} times)" if len(ends) > 1 else ""
        return f"{door} [{door.address}]:{self.plan.port}: {end}{times}; {self._likely(door.way, end)}"

    def _likely(self, way: Way, end: End) -> str:
        plan = self.plan
        template = _LIKELY.get((way, end)) or _LIKELY.get(end, "the packets were lost on the way; {logs}")
        logs = f"`fly logs -a {plan.app_name}` says why"
        return template.format(port=plan.port, timeout=f"{plan.timeout_seconds:g} s (--timeout)", logs=logs)


def run(plan: Plan, edge: Edge, pause: Callable[[float], None], progress: Progress) -> Hearing:
    """Listen through Flycast, then at every started Machine; what was heard before a failure is kept."""
    watch = Watch(lambda: look_at(plan.app_name, edge.ask), edge.clock, pause)
    hellos: list[Hello] = []
    untried: list[str] = []
    asleep: tuple[ListedMachine, ...] = ()
    try:
        was_asleep = not watch.look().started
        if was_asleep:
            progress.show(f"{plan.app_name} is asleep: Flycast wakes it, then 6PN can be tried", "it is held meanwhile")
        flycast = _flycast_door(plan.app_name, edge.ask)
        if isinstance(flycast, str):
            untried.append(flycast)
        else:
            hellos += _knock(flycast, plan, edge)
        if was_asleep and any(hello.heard.end.answered for hello in hellos):
            watch.until_seen_up()
        view = watch.look()
        asleep = tuple(machine for machine in view.deployed if machine not in view.started)
        if not view.started:
            untried.append(f"{Way.SIX_PN}: not tried, no Machine of {plan.app_name} is started")
        for machine in view.started:
            door = _six_pn_door(machine, plan.app_name, edge.ask)
            if isinstance(door, str):
                untried.append(door)
            else:
                hellos += _knock(door, plan, edge)
    except NotWellError as error:
        untried.append(str(error))
    finally:
        progress.done()
    return Hearing(plan, tuple(hellos), asleep, tuple(untried))


def _knock(door: Door, plan: Plan, edge: Edge) -> list[Hello]:
    return [Hello(door, hear(door.address, plan.port, plan.timeout_seconds, edge)) for _ in range(plan.count)]


def _flycast_door(app_name: str, ask: Callable[[str, RecordType], Answer]) -> Door | str:
    """Return the door, or why there is none."""
    answer = ask(f"{app_name}.flycast", RecordType.AAAA)
    if answer.outcome is Outcome.OK:
        return Door(Way.FLYCAST, answer.records[0])
    allocate = f"; `fly ips allocate-v6 --private -a {app_name}` gives the app a Flycast address"
    return f"{Way.FLYCAST}: not tried, {answer}{allocate if answer.outcome.told else ''}"


def _six_pn_door(machine: ListedMachine, app_name: str, ask: Callable[[str, RecordType], Answer]) -> Door | str:
    """Return the door of a started Machine, or why there is none."""
    name = f"{machine.machine_id}.vm.{app_name}.internal"
    if not meaning_of(name)[1]:
        return f"{Way.SIX_PN}: not tried, vms.{app_name}.internal lists {machine.machine_id!r}, which is no Machine ID"
    answer = ask(name, RecordType.AAAA)
    if answer.outcome is Outcome.OK:
        return Door(Way.SIX_PN, answer.records[0], machine)
    return f"{Way.SIX_PN} of Machine {machine.machine_id}: not tried, {answer}"
