"""Which Machines of an app are up, and the wait until none is.

Rules
- `all.vms` lists the deployed Machines, `vms` the started ones: the difference is asleep (FLY_FACTS §4).
- Looking is a DNS question, which wakes nothing. Nothing announces sleep, so it is looked for twice a second.
- On Fly autostop comes 2 to 8 minutes after the last request and takes one Machine at a time (FLY_FACTS §5).
- The wait ends with an error after `wait_seconds` (`--wait`), or after three looks in a row that failed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shell.answers import Answer, ListedMachine, Outcome, RecordType, listed_machines
from shell.errors import NotWellError

if TYPE_CHECKING:
    from collections.abc import Callable

    from shell.progress import Progress

LOOK_EVERY_SECONDS = 0.5
_FAILED_LOOKS_AT_MOST = 3


class LookFailedError(NotWellError):
    """The nameserver did not say which Machines there are; asking again may help."""


@dataclass(frozen=True, slots=True)
class AppView:
    """The Machines of an app at one moment."""

    deployed: tuple[ListedMachine, ...]
    started: tuple[ListedMachine, ...]


def read_view(app_name: str, all_vms: Answer, vms: Answer) -> AppView:
    """Return the view two TXT answers give; raise `NotWellError` when there is nothing to wake."""
    for answer in (all_vms, vms):
        if not answer.outcome.told:
            raise LookFailedError(no_word(answer))
    deployed = listed_machines(all_vms)
    if all_vms.outcome is Outcome.NXDOMAIN:
        raise NotWellError(
            f"no app {app_name} in this private network: {all_vms.name} from {all_vms.server}: {all_vms.outcome}"
        )
    if not deployed:
        raise NotWellError(f"app {app_name} has no Machines: deploy it first (`fly deploy -a {app_name}`)")
    return AppView(deployed, listed_machines(vms))


def no_word(answer: Answer) -> str:
    """Say that a nameserver gave no usable answer."""
    words = f"{answer.name} {answer.record_type} from {answer.server}: {answer.outcome}"
    if not answer.outcome.silent:
        return words
    advice = "is this machine on the private network? --dns ADDR asks another server"
    return f"no nameserver answers: {words}; {advice}"


def look_at(app_name: str, ask: Callable[[str, RecordType], Answer]) -> AppView:
    """Ask which Machines are up; raise `NotWellError`."""
    all_vms = ask(f"all.vms.{app_name}.internal", RecordType.TXT)
    if all_vms.outcome.silent:
        raise LookFailedError(no_word(all_vms))
    return read_view(app_name, all_vms, ask(f"vms.{app_name}.internal", RecordType.TXT))


def wait_until_asleep(
    look: Callable[[], AppView],
    *,
    wait_seconds: float,
    clock: Callable[[], float],
    pause: Callable[[float], None],
    progress: Progress,
) -> float:
    """Return the seconds waited once no Machine is up; raise `NotWellError` when that does not come."""
    began = clock()
    view = look()
    failed_looks = 0
    try:
        while view.started:
            waited = clock() - began
            progress.waiting(waited, wait_seconds, view)
            if waited >= wait_seconds:
                raise NotWellError(_still_up(view, wait_seconds))
            pause(min(LOOK_EVERY_SECONDS, wait_seconds - waited))
            try:
                view = look()
            except LookFailedError:
                failed_looks += 1
                if failed_looks >= _FAILED_LOOKS_AT_MOST:
                    raise
            else:
                failed_looks = 0
    finally:
        progress.done()
    return clock() - began


def names_of(machines: tuple[ListedMachine, ...]) -> str:
    """Return Machines in one line, three at most by name."""
    shown = ", ".join(
        f"{machine.machine_id} ({machine.region})" if machine.region else machine.machine_id for machine in machines[:3]
    )
    return shown if len(machines) <= len(machines[:3]) else f"{shown} and {len(machines) - 3} more"


def _still_up(view: AppView, wait_seconds: float) -> str:
    return (
        f"not asleep after {wait_seconds:.0f} s (--wait): {len(view.started)} of {len(view.deployed)} Machines"
        f" still up: {names_of(view.started)}; an open connection or a service without auto_stop_machines keeps"
        " a Machine awake; `fly machine stop ID` stops it at once"
    )
