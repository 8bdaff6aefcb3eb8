"""What this Machine tells one caller about itself: the model behind the panel and `/api/status`."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from private_svc import __version__
from private_svc.boot import clock
from private_svc.ingress import Ingress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from private_svc.activity import Visit
    from private_svc.context import Context
    from private_svc.ingress import Caller
    from private_svc.machine import Machine
    from private_svc.peers import Peers

    Kind = Literal["request", "WebSocket", "hello", "session", "idle connection"]

SCHEMA_VERSION = 1
OPEN_SHOWN = 100
SEEN_BY_PROXY = (
    Ingress.FLYCAST,
    Ingress.PUBLIC,
    Ingress.PLATFORM,
)  # the load of autostop: docs/fly.md, "Sleep and wake"


@dataclass(frozen=True, slots=True)
class Open:
    """An open connection; one that waits for work keeps this Machine awake."""

    kind: Kind
    listener: str
    caller: Caller
    age_seconds: float
    waits_for: str
    waiting_seconds: float
    keeps_awake: bool
    seen_by_proxy: bool
    is_you: bool


@dataclass(frozen=True, slots=True)
class Sleep:
    """When this Machine sleeps by itself, why `/api/sleep` is off if it is, and why the last suspension failed."""

    idle_exit_seconds: int
    idle_action: str
    actions_off: str
    failure: str


@dataclass(frozen=True, slots=True)
class Status:
    """The model; each time has its unit in its name, and the boot phases are milliseconds since exec.

    `kept_awake_by` counts, by kind, the connections other than yours that keep this Machine awake; `unseen_by_proxy` of
    them came directly.
    """

    version: str
    machine: Machine
    you: Caller
    listeners: tuple[Mapping[str, str], ...]
    uptime_ms: float
    awake_ms: float
    resumes: int
    boot_ms: Mapping[str, float]
    requests: Mapping[str, int]
    hellos: Mapping[str, int]
    refused: int
    fix: tuple[str, ...]
    open: tuple[Open, ...]
    open_count: int
    kept_awake_by: Mapping[str, int]
    unseen_by_proxy: int
    peers: Peers | None
    sleep: Sleep
    draining: bool


def current(
    context: Context, you: Caller, your_visit: Visit | None, peers: Peers | None, sleep: Sleep, *, draining: bool
) -> Status:
    """Return the status at this moment, for the caller `you`."""
    activity, boot = context.activity, context.boot
    uptime_ms = boot.age_ms()
    hellos: Counter[str] = Counter()
    for (ingress, _), count in activity.hellos.items():
        hellos[ingress.value] += count
    visits = sorted(activity.visits, key=lambda visit: not visit.is_work)  # work first, and the longest open first
    others = [visit for visit in visits if visit.is_work and visit is not your_visit]
    return Status(
        version=__version__,
        machine=context.machine,
        you=you,
        listeners=tuple({"name": it.name, "address": it.address, "reach": it.reach} for it in context.listeners),
        uptime_ms=round(uptime_ms, 1),
        awake_ms=round(context.awake.awake_seconds(clock() - uptime_ms / 1000) * 1000, 1),
        resumes=context.awake.resumes,
        boot_ms={phase: round(ms, 1) for phase, ms in boot.phases_ms.items()},
        requests={ingress.value: count for ingress, count in activity.requests.items()},
        hellos=dict(hellos),
        refused=activity.refused[Ingress.PUBLIC],
        fix=context.exposure.fix if activity.requests[Ingress.PUBLIC] or activity.refused[Ingress.PUBLIC] else (),
        open=tuple(_open(visit, is_you=visit is your_visit) for visit in visits[:OPEN_SHOWN]),
        open_count=len(visits),
        kept_awake_by=dict(Counter(map(_kind, others))),
        unseen_by_proxy=sum(visit.caller.ingress not in SEEN_BY_PROXY for visit in others),
        peers=peers,
        sleep=sleep,
        draining=draining,
    )


def as_json(status: Status) -> dict[str, object]:
    """Return the status as JSON has it."""
    return {"schema_version": SCHEMA_VERSION, **asdict(status)}


def _open(visit: Visit, *, is_you: bool) -> Open:
    now_s = clock()
    return Open(
        kind=_kind(visit),
        listener=visit.listener,
        caller=visit.caller,
        age_seconds=round(now_s - visit.since_s, 1),
        waits_for=visit.doing.removeprefix("WebSocket "),
        waiting_seconds=round(now_s - visit.doing_since_s, 1) if visit.doing else 0.0,
        keeps_awake=visit.is_work,
        seen_by_proxy=visit.caller.ingress in SEEN_BY_PROXY,
        is_you=is_you,
    )


def _kind(visit: Visit) -> Kind:
    if visit.listener == "hello":
        return "session" if visit.doing == "session" else "hello"
    if visit.doing.startswith("WebSocket "):
        return "WebSocket"
    return "request" if visit.doing else "idle connection"
