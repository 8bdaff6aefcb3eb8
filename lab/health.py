"""Health checks of one Machine: run while it is started, from the gateway of its own subnet.

Rules (docs/fly.md, "Who is calling", "Proxy" and "Metrics and logs"):

- The peer the app sees is 172.19.x.y, no `Fly-Client-IP`; a check is no load, so it keeps no Machine awake.
- tcp passes when the port accepts, http when the answer's status is 2xx, both within the timeout.
- The first check waits for the grace period.  A line is logged when the outcome changes.
- A failing check of a service keeps its requests away; it never stops or restarts a Machine.  It keeps none away before
  the app has accepted a check in this run: a wake is ready once its port accepts, and that is the proxy's to find out.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING

from lab.upkeep import CheckKind

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from lab.log import EventLog
    from lab.machine import Ground, Machine
    from lab.topology import MachinePlan
    from lab.upkeep import Check

_WORDS = {True: "passing", False: "critical", None: "warning"}
_PASSING = re.compile(rb"HTTP/1\.[01] 2[0-9]{2}[ \r\n]")
_MOST_BYTES = 4096  # for a status line


class Outcome(StrEnum):
    """What came of one check."""

    PASSING = "passing"
    FAILING = "failing"
    UNREACHED = "unreached"


class Health:
    """The outcome of each check of one Machine; None until it was made in this run."""

    def __init__(self, checks: Sequence[Check]) -> None:
        """Begin with nothing known."""
        self._passing: dict[Check, bool | None] = dict.fromkeys(checks)
        self._accepted: set[Check] = set()

    def note(self, check: Check, outcome: Outcome) -> bool:
        """Remember an outcome; return whether that is news."""
        passing = outcome is Outcome.PASSING
        news = self._passing[check] is not passing
        self._passing[check] = passing
        if outcome is not Outcome.UNREACHED:
            self._accepted.add(check)
        return news

    def forget(self, check: Check) -> None:
        """Know nothing of a check, as before its first time in a run."""
        self._passing[check] = None
        self._accepted.discard(check)

    def serves(self, internal_port: int) -> bool:
        """Tell whether requests for the service on `internal_port` may come here."""
        return not any(
            passing is False and check in self._accepted and not check.name and check.port == internal_port
            for check, passing in self._passing.items()
        )

    def summary(self) -> str:
        """Return how many checks there are, by outcome, as `fly status` words it; "" when there is none."""
        outcomes = list(self._passing.values())
        parts = [f"{outcomes.count(kind)} {word}" for kind, word in _WORDS.items() if kind in outcomes]
        return ", ".join([f"{len(outcomes)} total", *parts]) if outcomes else ""


async def keep_checking(machine: Machine, check: Check, ground: Ground, log: EventLog) -> None:
    """Check `machine` whenever it is started, until cancelled."""
    while True:
        await machine.until_started()
        async with asyncio.TaskGroup() as run:
            checking = run.create_task(_check_again_and_again(machine, check, ground, log))
            await machine.while_started()
            checking.cancel()
        machine.health.forget(check)


async def _check_again_and_again(machine: Machine, check: Check, ground: Ground, log: EventLog) -> None:
    await asyncio.sleep(check.grace_seconds)
    while True:
        outcome = await make(check, machine.plan, ground)
        passing = outcome is Outcome.PASSING
        if machine.health.note(check, outcome):
            level = "info" if passing else "error"
            log("health", describe(check, passing=passing), machine_id=machine.machine_id, region=machine.region,
                level=level)  # fmt: skip
        await asyncio.sleep(check.interval_seconds)


def describe(check: Check, *, passing: bool) -> str:
    """Return the line of the log for an outcome."""
    which = f"Health check '{check.name}'" if check.name else "Health check"
    if passing:
        return f"{which} on port {check.port} is now passing."
    failed = f"{which} on port {check.port} has failed. Your app is not responding properly."
    if check.name:
        return failed
    ports = ", ".join(map(str, check.service_ports))
    more = f"Services exposed on ports [{ports}] will have intermittent failures until the health check passes."
    return f"{failed} {more}"


async def make(check: Check, plan: MachinePlan, ground: Ground) -> Outcome:
    """Make one check; no error of the Machine's raises."""
    outcome = Outcome.UNREACHED
    with suppress(OSError):  # TimeoutError is one
        async with asyncio.timeout(check.timeout_seconds):
            with ground.dial_as_check(plan) as sock:
                await asyncio.get_running_loop().sock_connect(sock, ground.endpoint(plan, check.port))
                outcome = Outcome.FAILING
                if check.kind is CheckKind.TCP or await _answers_2xx(sock, check, plan.ipv4):
                    outcome = Outcome.PASSING
    return outcome


async def _answers_2xx(sock: socket.socket, check: Check, host: str) -> bool:
    loop = asyncio.get_running_loop()
    own = "".join(f"{name}: {value}\r\n" for name, value in check.headers)
    named = {name.lower() for name, _ in check.headers}
    host_line = "" if "host" in named else f"Host: {host}:{check.port}\r\n"
    agent = "" if "user-agent" in named else "User-Agent: Consul Health Check\r\n"
    head = f"{check.method} {check.path} HTTP/1.1\r\n{host_line}{agent}{own}Connection: close\r\n\r\n"
    await loop.sock_sendall(sock, head.encode())
    answer = b""
    while b"\n" not in answer and len(answer) < _MOST_BYTES and (piece := await loop.sock_recv(sock, 4096)):
        answer += piece
    return bool(_PASSING.match(answer))
