"""`flycast-lab demo`: the walkthrough on real parts, with the real programs where they are installed."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.services import served_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lab.session import Session
    from lab.topology import AppPlan

WAKES = 3
PROBE = (sys.executable, "-m", "shell")
_HTTP_PORT = 80
_SLEEP_BEGINS = "has excess capacity"
_WAKE_ENDS = "machine became reachable"
_FETCH = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"
_LISTEN = "import sys, socket; print(socket.create_connection(sys.argv[1:], 5).recv(99).decode(), end='')"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to show: a sentence, the program that shows it, and what does where that is not installed."""

    sentence: str
    argv: tuple[str, ...]
    otherwise: tuple[str, ...] = ()
    machine_id: str = "shell"

    @property
    def possible(self) -> tuple[str, ...]:
        """Return what can be run here, empty when nothing can."""
        return self.argv if shutil.which(self.argv[0]) else self.otherwise


def steps(app: AppPlan) -> Iterator[Step]:
    """Yield the walkthrough of `app`, in order."""
    flycast, internal = f"{app.name}.flycast", f"{app.name}.internal"
    yield _names("A .flycast name answers always: it is the proxy's address.", flycast)
    yield _names("An .internal name answers for started Machines only.", internal)
    yield Step("The Flycast address answers ping.", ("ping", "-c2", "-i0.2", flycast))
    for service in app.services:
        for port, entry in served_ports(service):
            if "http" in entry.handlers:
                via_proxy, direct = _url(app, flycast, port), _url(app, internal, service.internal_port)
                yield _get("Over Flycast: the service sees the proxy, and who is behind it.", via_proxy)
                yield _get("Over 6PN: straight to the Machine, no proxy, no wake.", direct)
                yield _exposure(app, port)
            else:
                yield _raw("Raw TCP over Flycast.", flycast, port)
                yield _raw("Raw TCP over 6PN.", internal, service.internal_port)


def _names(sentence: str, name: str) -> Step:
    return Step(sentence, ("dig", "+short", "aaaa", name), (*PROBE, "names", name))


def _url(app: AppPlan, host: str, port: int) -> str:
    """Return where the blueprint's service says who is calling; below `/_/` where an application has every path."""
    moved = any(machine.env.get("APP_PATH") == "/" and "APP" in machine.env for machine in app.machines)
    return f"http://{host}{'' if port == _HTTP_PORT else f':{port}'}{'/_' if moved else ''}/whoami"


def _get(sentence: str, url: str) -> Step:
    return Step(sentence, ("curl", "-sS", url), (sys.executable, "-c", _FETCH, url))


def _exposure(app: AppPlan, port: int) -> Step:
    sentence = "This app was given a public address by mistake. From the internet the service refuses:"
    return Step(sentence, ("curl", "-sSi", _url(app, f"[{app.public_ip}]", port)), machine_id="internet")


def _raw(sentence: str, host: str, port: int) -> Step:
    return Step(sentence, ("nc", "-w2", host, str(port)), (sys.executable, "-c", _LISTEN, host, str(port)))


async def walk_through(session: Session, heard: Sequence[str]) -> int:
    """Show every step, then let the Machines sleep and time the wakes; return the exit status.

    `heard` grows as the lab logs.
    """
    began = time.monotonic()
    app = session.lab.topology.apps[0]
    machines = ", ".join(f"{plan.machine_id} ({plan.region})" for plan in app.machines)
    _print(f"Fly's private network on this machine: app {app.name}, Machines {machines}, and a shell Machine.")
    for step in steps(app):
        argv = step.possible
        _print(f"\n# {step.sentence}\n$ {_shown(argv or step.argv)}")
        if not argv:
            _print(f"({step.argv[0]} is not installed here; skipped)")
        elif await session.run_step(_with_empty_input(argv), step.machine_id) != 0:
            _print(f"the step failed: {_shown(argv)}")
            return 1
    session.lab.begin_autostop()  # not before: what goes straight to a Machine keeps it no more awake than on Fly
    wake = (*PROBE, "wake", app.name)
    _print(f"\n# Nobody uses it now, so it falls asleep; then the first request wakes it.\n$ {_shown(wake)}")
    if status := await session.run_step(wake):
        return status
    _print("# That sleep and that wake in the log, as `fly logs` tells them.")
    for line in last_sleep_and_wake(heard):
        _print(line)
    again = (*wake, "--count", str(WAKES))
    _print(f"\n# And some more of them, for the numbers.\n$ {_shown(again)}")
    status = await session.run_step(again)
    _print(f"Done in {time.monotonic() - began:.1f} s. Nothing of this is left once the command ends.")
    return status


def last_sleep_and_wake(heard: Sequence[str]) -> list[str]:
    """Return the log of the last autostop that a wake followed, to the end of that wake, without what apps print."""
    lines = [line for line in heard if "] {" not in line]
    woken = next((at for at in range(len(lines) - 1, -1, -1) if _WAKE_ENDS in lines[at]), len(lines) - 1)
    asleep = next((at for at in range(woken, -1, -1) if _SLEEP_BEGINS in lines[at]), 0)
    return lines[asleep : woken + 1]


def _with_empty_input(argv: Sequence[str]) -> tuple[str, ...]:
    """Give a program an empty standard input: nc would wait for typing on a terminal."""
    return ("sh", "-c", 'exec "$@" </dev/null', "sh", *argv)


def _shown(argv: Sequence[str]) -> str:
    """Return a command as a person would type it."""
    if tuple(argv[: len(PROBE)]) == PROBE:
        return shlex.join(["flycast-probe", *argv[len(PROBE) :]])
    return shlex.join(["python3" if word == sys.executable else word for word in argv])


def _print(text: str) -> None:
    print(text, flush=True)
