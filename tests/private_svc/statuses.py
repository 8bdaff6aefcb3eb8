"""Examples of a `Status`, made without a service."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from private_svc.ingress import Caller, Ingress
from private_svc.machine import whoami
from private_svc.peers import Peer, Peers
from private_svc.web.status import Open, Sleep, Status
from tests.private_svc.making import FLY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from private_svc.web.status import Kind

YOU = Caller(Ingress.FLYCAST, "fdaa:0:18::9")
SLEEP = Sleep(idle_exit_seconds=0, idle_action="exit", actions_off="", failure="")
KINDS: tuple[Kind, ...] = ("request", "WebSocket", "hello", "idle connection")
BOOT_MS = {"bound": 40.0, "imported": 400.0, "serving": 410.0, "first_accept": 420.0, "first_response": 425.0}


def connection(**changes: Any) -> Open:
    """Return an open connection over Flycast that waits for work, with these changes."""
    waiting = Open(
        kind="request",
        listener="admin",
        caller=Caller(Ingress.FLYCAST, "fdaa:0:18::7"),
        age_seconds=3.14,
        waits_for="GET /reports",
        waiting_seconds=2.0,
        keeps_awake=True,
        seen_by_proxy=True,
        is_you=False,
    )
    return replace(waiting, **changes)


def status(fly: Mapping[str, str] | None = None, **changes: Any) -> Status:
    """Return the status of a Machine with one request, which is yours, with these changes."""
    quiet = Status(
        version="1.2.3",
        machine=whoami(FLY if fly is None else fly),
        you=YOU,
        listeners=({"name": "admin", "address": "[::]:8080", "reach": "Flycast and 6PN"},),
        uptime_ms=185_000.0,
        awake_ms=185_000.0,
        resumes=0,
        boot_ms=BOOT_MS,
        requests={"flycast": 1},
        hellos={},
        refused=0,
        fix=(),
        open=(connection(caller=YOU, waits_for="GET /", is_you=True),),
        open_count=1,
        kept_awake_by={},
        unseen_by_proxy=0,
        peers=None,
        sleep=SLEEP,
        draining=False,
    )
    return replace(quiet, **changes)


def crowded(word: str) -> Status:
    """Return a status with every part of the panel, and `word` wherever a text comes from outside."""
    names = (
        "MACHINE_ID",
        "APP_NAME",
        "REGION",
        "PROCESS_GROUP",
        "IMAGE_REF",
        "MACHINE_VERSION",
        "PRIVATE_IP",
        "PUBLIC_IP",
    )
    machines = tuple(Peer(f"{word}{number}", word, started=number % 2 == 0) for number in range(40))
    return status(
        fly={f"FLY_{name}": word for name in names},
        you=Caller(Ingress.PUBLIC, word),
        listeners=({"name": "admin", "address": word, "reach": word},),
        requests={"public": 12_345, "flycast": 1_234_567},
        hellos={"platform": 7},
        refused=12_345,
        fix=(f"fly ips list -a {word}", f"fly ips release {word} -a {word}"),
        open=tuple(connection(caller=Caller(Ingress.SIX_PN, word), waits_for=word, kind=kind) for kind in KINDS),
        open_count=1_000,
        kept_awake_by=dict.fromkeys(KINDS, 1000),
        unseen_by_proxy=10,
        peers=Peers(machines, 3.0, f"NoNameservers: {word}"),
        sleep=Sleep(3600, "suspend", f"actions are off: {word}; fly secrets set ADMIN_TOKEN=1 -a {word}", word),
        resumes=3,
    )
