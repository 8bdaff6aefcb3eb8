"""`flycast-lab demo`: the seeds' walkthrough on real parts, with the real programs where they are installed."""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.session import Session
    from lab.topology import AppPlan

WAKES = 3
PROBE = (sys.executable, "-m", "shell")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to show: a sentence, and the program that shows it on the shell Machine."""

    sentence: str
    argv: tuple[str, ...]
    machine_id: str = "shell"


def steps(app: AppPlan) -> list[Step]:
    """Return the walkthrough of `app`, in order."""
    flycast, internal = f"{app.name}.flycast", f"{app.name}.internal"
    shown = [
        Step("A .flycast name answers always: it is the proxy's address.", ("dig", "+short", "aaaa", flycast)),
        Step("An .internal name answers for started Machines only.", ("dig", "+short", "aaaa", internal)),
        Step("The Flycast address answers ping, one router away.", ("ping", "-c2", "-i0.2", flycast)),
    ]
    for service in app.services:
        for entry in service.ports:
            if "tls" in entry.handlers:
                continue
            if "http" in entry.handlers:
                shown += _http_steps(flycast, internal, entry.start_port, service.internal_port)
                shown.append(_exposure_step(app, entry.start_port))
            else:
                shown += _raw_steps(flycast, internal, entry.start_port, service.internal_port)
    return shown


def _http_steps(flycast: str, internal: str, port: int, internal_port: int) -> list[Step]:
    return [
        Step("Over Flycast: the service sees the proxy, and who is behind it.", _get(flycast, port)),
        Step("Over 6PN: straight to the Machine, no proxy, no wake.", _get(internal, internal_port)),
    ]


def _exposure_step(app: AppPlan, port: int) -> Step:
    sentence = "This app was given a public address by mistake. From the internet the service refuses:"
    return Step(sentence, (*_get(f"[{app.public_ip}]", port), "-i"), machine_id="internet")


def _get(host: str, port: int) -> tuple[str, ...]:
    address = host if port == 80 else f"{host}:{port}"  # noqa: PLR2004 - http
    return ("curl", "-sS", f"http://{address}/whoami")


def _raw_steps(flycast: str, internal: str, port: int, internal_port: int) -> list[Step]:
    return [
        Step("Raw TCP over Flycast.", ("nc", "-w2", flycast, str(port))),
        Step("Raw TCP over 6PN.", ("nc", "-w2", internal, str(internal_port))),
    ]


async def walk_through(session: Session) -> int:
    """Show every step, then let the Machines sleep and time the wakes; return the exit status."""
    began = time.monotonic()
    app = session.lab.topology.apps[0]
    machines = ", ".join(f"{plan.machine_id} ({plan.region})" for plan in app.machines)
    _print(f"Fly's private network on this machine. App {app.name}, Machines: {machines}, and a shell Machine.")
    for step in steps(app):
        _print(f"\n# {step.sentence}\n$ {' '.join(step.argv)}")
        if shutil.which(step.argv[0]) is None:
            _print(f"({step.argv[0]} is not installed here; skipped)")
        elif await session.run_in_foreground(_quiet_input(step.argv), step.machine_id) != 0:
            _print(f"the step failed: {' '.join(step.argv)}")
            return 1
    _print(f"\n# Nobody uses it now, so it falls asleep; then the first request wakes it.\n$ {_shown_wake(app)}")
    status = await session.run_in_foreground((*PROBE, *_wake(app)))
    _print(f"\nDone in {time.monotonic() - began:.1f} s. Nothing of this is left once the command ends.")
    return status


def _quiet_input(argv: Sequence[str]) -> tuple[str, ...]:
    """Give nc an empty standard input: from a terminal it would wait for typing."""
    return ("sh", "-c", 'exec "$@" </dev/null', "sh", *argv)


def _wake(app: AppPlan) -> tuple[str, ...]:
    return ("wake", app.name, "--count", str(WAKES))


def _shown_wake(app: AppPlan) -> str:
    return f"flycast-probe {' '.join(_wake(app))}"


def _print(text: str) -> None:
    print(text, flush=True)
