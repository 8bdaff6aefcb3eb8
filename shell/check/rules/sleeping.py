"""Whether the Machine falls asleep when nobody uses it, and wakes when somebody does.

Rules (docs/fly.md, "Sleep and wake")
- `auto_stop_machines` unset is off, `auto_start_machines` unset is on.
- The most restrictive service of a Machine decides: one without autostop keeps it awake.
- A file that says "off" for every service of a Machine asks for a Machine that is always awake; that is no fault.
- Without autostart, `min_machines_running` keeps some Machines up, and they go on to answer.
- A service that leaves by itself (IDLE_EXIT_SECONDS) needs no autostop.
- Suspend: at most 2 GB of memory, and no swap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shell.check.finding import Edit, error, warning
from shell.check.subject import listed_under, looked_up_under
from shell.flytoml import AutoStop, Table
from shell.flytoml.sizes import memory_mb

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shell.check.finding import Finding
    from shell.check.subject import Subject
    from shell.flytoml import Service

_AUTO_STOP = "auto_stop_machines"
_SUSPENDABLE_MB = 2048

AUTOSTOP_WITHOUT_AUTOSTART = error(
    "autostop-without-autostart",
    "Once asleep it stays asleep: every request then fails with 503.",
    "Set auto_start_machines = true.",
)
NO_AUTOSTART = warning(
    "no-autostart",
    "A Machine that has stopped for any reason stays stopped, and requests that need it fail with 503.",
    "Set auto_start_machines = true, unless something else starts the Machines.",
)
KEEPS_AWAKE = warning(
    "keeps-awake",
    "The most restrictive service decides: this one keeps the Machine running, and billed.",
    'Set auto_stop_machines to "stop" or "suspend" in every service of the Machine, or to "off" in all of them.',
)
MIN_MACHINES = warning(
    "min-machines",
    "That many Machines of the primary region never sleep, so you pay for them all day.",
    "Set min_machines_running = 0 where all Machines are to sleep.",
)
NEGATIVE_MINIMUM = warning(
    "negative-minimum",
    "flyctl lets it pass, and no number of Machines is below 0.",
    "Set min_machines_running to 0 or more.",
)
SUSPEND_MEMORY = warning(
    "suspend-memory",
    "Fly advises against suspending a Machine with more than 2 GB of memory: it may stop instead, and wake cold.",
    'Give the Machine less memory, or set auto_stop_machines = "stop".',
)
SUSPEND_SWAP = warning(
    "suspend-swap",
    "Fly does not suspend a Machine with swap: it stops instead, and wakes cold.",
    'Take swap_size_mb out, or set auto_stop_machines = "stop".',
)
RULES = (
    AUTOSTOP_WITHOUT_AUTOSTART,
    NO_AUTOSTART,
    KEEPS_AWAKE,
    MIN_MACHINES,
    NEGATIVE_MINIMUM,
    SUSPEND_MEMORY,
    SUSPEND_SWAP,
)


def findings(subject: Subject) -> Iterator[Finding]:
    """Judge autostop and autostart."""
    sleeping: dict[str, Service] = {}
    for service in subject.services:
        if service.auto_stop is not AutoStop.OFF:
            for group in listed_under(service.processes):
                sleeping.setdefault(group, service)
    for service in subject.services:
        yield from _autostart(service)
        if not subject.leaves_by_itself:
            yield from _awake(service, sleeping, given=_AUTO_STOP in subject.tables[service.where].values)
        yield from _minimum(service)
    yield from _suspend(subject)


def _autostart(service: Service) -> Iterator[Finding]:
    place = f"{service.where}.auto_start_machines"
    if service.auto_start:
        return
    if service.auto_stop is AutoStop.OFF or service.min_machines_running > 0:
        yield NO_AUTOSTART.broken(place, "Fly Proxy starts no Machine here", "auto_start_machines = true")
        return
    message = f'expected autostart with autostop, got false with auto_stop_machines = "{service.auto_stop}"'
    yield AUTOSTOP_WITHOUT_AUTOSTART.broken(place, message, "auto_start_machines = true", Edit(place, value=True))


def _awake(service: Service, sleeping: Mapping[str, Service], *, given: bool) -> Iterator[Finding]:
    """Judge a service by the ones that sleep, and by whether the file says anything of its autostop."""
    if service.auto_stop is not AutoStop.OFF:
        return
    met = (sleeping.get(group) for group in looked_up_under(service.processes))
    beside = next(filter(None, met), None)
    if beside is None and given:
        return
    place = f"{service.where}.{_AUTO_STOP}"
    mode = beside.auto_stop if beside else AutoStop.STOP
    never = f"{service.where} never stops its Machine ({'off' if given else f'no {_AUTO_STOP}'})"
    message = f'{never}, so "{mode}" of {beside.where} has no effect' if beside else never
    edits = [Edit(place, str(mode))] if beside and not given else []
    yield KEEPS_AWAKE.broken(place, message, f'{_AUTO_STOP} = "{mode}"', *edits)


def _minimum(service: Service) -> Iterator[Finding]:
    place, least = f"{service.where}.min_machines_running", service.min_machines_running
    if least < 0:
        yield NEGATIVE_MINIMUM.broken(place, f"expected 0 or more, got {least}", "min_machines_running = 0")
    elif least and service.auto_stop is not AutoStop.OFF:
        message = f"expected 0 where Machines are to sleep, got {least}"
        yield MIN_MACHINES.broken(place, message, "min_machines_running = 0")


def _suspend(subject: Subject) -> Iterator[Finding]:
    suspended = [service for service in subject.services if service.auto_stop is AutoStop.SUSPEND]
    if not suspended:
        return
    largest_mb = _largest_mb(subject.root)
    stop = 'auto_stop_machines = "stop"'
    for service in suspended:
        mb = max(largest_mb.get(group, 0) for group in looked_up_under(service.processes))
        if mb > _SUSPENDABLE_MB:
            message = f"expected at most {_SUSPENDABLE_MB} MB with suspend, got {mb}"
            yield SUSPEND_MEMORY.broken(f"{service.where}.{_AUTO_STOP}", message, f"less memory, or {stop}")
    if swap_mb := subject.root.integer("swap_size_mb"):
        message = f"expected no swap with suspend, got {swap_mb} MB"
        yield SUSPEND_SWAP.broken("swap_size_mb", message, f"take swap_size_mb out, or {stop}")


def _largest_mb(root: Table) -> dict[str, int]:
    """Return the memory of the largest Machine by process group."""
    largest: dict[str, int] = {}
    for vm in (table for key in ("vm", "compute", "computes") for table in root.tables(key)):
        mb = memory_mb(Table("", {"vm": vm.values}))
        for group in listed_under(vm.texts("processes")):
            largest[group] = max(largest.get(group, 0), mb)
    return largest
