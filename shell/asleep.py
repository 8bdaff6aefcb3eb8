"""Which Machines of an app are up, and the wait until none is.

Rules
- `all.vms` lists the deployed Machines, `vms` the started ones: the difference is asleep (docs/fly.md, "DNS").
- Looking is a DNS question, which wakes nothing. Nothing announces sleep, so it is looked for twice a second.
- On Fly autostop comes 2 to 8 minutes after the last request and takes one Machine at a time
  (docs/fly.md, "Sleep and wake").
- DNS lags (its TTL is 5 s): after a request, "asleep" is believed once a Machine was seen up since, or
  when it has been said for three TTLs.
- A wait ends with an error after `wait_seconds` (`--wait`), or after three looks in a row that failed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shell.answers import Answer, ListedMachine, Outcome, RecordType, listed_machines
from shell.errors import NotWellError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shell.progress import Progress

LOOK_EVERY_SECONDS = 0.5
SEEN_UP_WITHIN_SECONDS = 15.0
_FORGIVEN_LOOKS = 2
_MEANWHILE = "leave the app alone: a request or an open page keeps it up; Fly stops it 2 to 8 min after the last"


class LookFailedError(NotWellError):
    """The nameserver did not say which Machines there are; asking again may help."""


@dataclass(frozen=True, slots=True)
class AppView:
    """The Machines of an app at one moment."""

    deployed: tuple[ListedMachine, ...]
    started: tuple[ListedMachine, ...]

    def __str__(self) -> str:
        """Say how many Machines are up and which, three at most."""
        shown = [" ".join([f"{machine.machine_id}", machine.region]).strip() for machine in self.started[:3]]
        more = f" and {len(self.started) - len(shown)} more" if len(self.started) > len(shown) else ""
        return f"{len(self.started)} of {len(self.deployed)} Machines up: {', '.join(shown)}{more}"


def look_at(app_name: str, ask: Callable[[str, RecordType], Answer]) -> AppView:
    """Ask which Machines are up; raise `NotWellError` when nobody says, or there is nothing to wake."""
    all_vms = ask(f"all.vms.{app_name}.internal", RecordType.TXT)
    if not all_vms.outcome.told:
        raise LookFailedError(str(all_vms))
    if all_vms.outcome is Outcome.NXDOMAIN:
        raise NotWellError(f"no app {app_name} in this private network: {all_vms}")
    deployed = listed_machines(all_vms)
    if not deployed:
        raise NotWellError(f"app {app_name} has no Machines: deploy it first (`fly deploy -a {app_name}`)")
    vms = ask(f"vms.{app_name}.internal", RecordType.TXT)
    if not vms.outcome.told:
        raise LookFailedError(str(vms))
    return AppView(deployed, listed_machines(vms))


@dataclass(frozen=True, slots=True)
class Wait:
    """A wait that ended with every Machine asleep; `up_s` is when one was last seen up, None when none was."""

    waited_seconds: float
    up_s: float | None = None


def leave_alone(_: AppView) -> str:
    """Do nothing about the Machines that are up, and advise the same."""
    return _MEANWHILE


@dataclass(frozen=True, slots=True)
class Watch:
    """How to look, and how time passes, in seconds."""

    look: Callable[[], AppView]
    clock: Callable[[], float]
    pause: Callable[[float], None]

    def until_asleep(
        self, wait_seconds: float, progress: Progress, meanwhile: Callable[[AppView], str] = leave_alone
    ) -> Wait:
        """Wait until no Machine is up; raise `NotWellError` when that does not come.

        `meanwhile` is called with every view that shows one up, and returns what to tell a person who waits.
        """
        up_s = None
        try:
            for waited_seconds, view in self._views(wait_seconds):
                if not view.started:
                    progress.done(f"asleep after {waited_seconds:.1f} s")
                    return Wait(waited_seconds, up_s)
                up_s = self.clock()
                span = f"{waited_seconds:.0f} of at most {wait_seconds:.0f} s"
                progress.show(f"waiting for sleep: {span}, {view}", meanwhile(view))
        finally:
            progress.done()
        raise NotWellError(
            f"not asleep after {wait_seconds:.0f} s (--wait): {view}; an open connection or a service without"
            " auto_stop_machines keeps a Machine awake; `fly machine stop ID` stops it at once"
        )

    def until_seen_up(self) -> None:
        """Wait until DNS shows a Machine up, or has had the time to."""
        for _, view in self._views(SEEN_UP_WITHIN_SECONDS):
            if view.started:
                return

    def _views(self, limit_seconds: float) -> Iterator[tuple[float, AppView]]:
        """Look again and again until the limit; yield the seconds since the first look began, and what is seen."""
        began = self.clock()
        forgiven = 0  # the first look must succeed
        waited_seconds = 0.0
        while True:
            try:
                view = self.look()
            except LookFailedError:
                if not forgiven:
                    raise
                forgiven -= 1
            else:
                forgiven = _FORGIVEN_LOOKS
                waited_seconds = self.clock() - began
                yield waited_seconds, view
            waited_seconds = self.clock() - began
            if waited_seconds >= limit_seconds:
                return
            self.pause(min(LOOK_EVERY_SECONDS, limit_seconds - waited_seconds))
