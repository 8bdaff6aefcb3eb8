"""Faults a person switches on with `--fault NAME=VALUE`: what each one is, and how it is written.  Pure.

Each gives the client what Fly gives, because everything but the fault goes on as ever; a log line names the fault
when it strikes.  The app is never changed: it starts late or not at all, is not told, or is killed.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

_NUMBER = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,3})?")
_WHOLE = re.compile(r"[0-9]{1,6}")
_MOST_PERCENT = 100
_NEVER_SECONDS = 10**9
_START_LATE = """\
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_DFL)
time.sleep(float(sys.argv[1]))
os.execvp(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True, slots=True)
class Faults:
    """Every fault with its value; a zero is a fault that is not there."""

    slow_bind_seconds: float = 0
    never_bind: bool = False
    crash_on_start: int = 0
    crash_mid_request_ms: float = 0
    ignore_sigint: bool = False
    clock_jump_seconds: float = 0
    stop_race_ms: float = 0
    stale_dns_seconds: float = 0
    lost_dns_percent: float = 0
    dns_delay_ms: float = 0
    far_delay_ms: float = 0
    far_loss_percent: float = 0


NO_FAULTS = Faults()


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a fault is written: its field, what its value is called ("" for none), and what it does."""

    field: str
    value: str
    what: str


KINDS = {
    "slow-bind": _Kind("slow_bind_seconds", "SECONDS", "the app begins to start this long after its Machine"),
    "never-bind": _Kind("never_bind", "", "the Machine starts, its app never listens"),
    "crash-on-start": _Kind("crash_on_start", "N", "the N starts after the deploy's end at once with status 1"),
    "crash-mid-request": _Kind("crash_mid_request_ms", "MS", "a request not answered within MS kills its app"),
    "ignore-sigint": _Kind("ignore_sigint", "", "the app never hears the kill signal"),
    "clock-jump": _Kind("clock_jump_seconds", "SECONDS", "the app's wall clock is so late after a resume, for 3 s"),
    "stop-race": _Kind("stop_race_ms", "MS", "the proxy hears of a stop MS later than the app"),
    "stale-dns": _Kind("stale_dns_seconds", "SECONDS", "names answer what was true this long ago"),
    "lost-dns": _Kind("lost_dns_percent", "PERCENT", "so many questions over UDP are never answered"),
    "dns-delay": _Kind("dns_delay_ms", "MS", "answers over UDP leave this much later"),
    "far-delay": _Kind("far_delay_ms", "MS", "packets to and from other regions than the primary one take this longer"),
    "far-loss": _Kind("far_loss_percent", "PERCENT", "so many of those packets are lost, each way"),
}


def help_text() -> str:
    """Return a line for each fault."""
    names = [f"{name}={kind.value}" if kind.value else name for name, kind in KINDS.items()]
    width = max(map(len, names))
    return "\n".join(f"  {name:<{width}}  {kind.what}" for name, kind in zip(names, KINDS.values(), strict=True))


def parse(texts: Sequence[str]) -> Faults:
    """Read every `--fault`; raise `UsageError` for a name or value there is not."""
    faults = Faults()
    seen: set[str] = set()
    for text in texts:
        name, given, value = text.partition("=")
        if name in seen:
            raise UsageError(f"--fault: {name} was given twice")
        seen.add(name)
        faults = replace(faults, **_one(name, value if given else None))
    return faults


def _one(name: str, value: str | None) -> dict[str, Any]:
    kind = KINDS.get(name)
    if kind is None:
        raise UsageError(f"--fault: expected one of {', '.join(KINDS)}, got {name[:60]!r}")
    if not kind.value:
        if value is not None:
            raise UsageError(f"--fault {name}: expected no value, got {value[:60]!r}")
        return {kind.field: True}
    return {kind.field: _number(name, kind.value, value or "")}


def _number(name: str, what: str, text: str) -> float:
    whole = what == "N"
    if (_WHOLE if whole else _NUMBER).fullmatch(text) and float(text) > 0:
        number = float(text)
        if what != "PERCENT" or number <= _MOST_PERCENT:
            return int(number) if whole else number
    most = " up to 100" if what == "PERCENT" else ""
    raise UsageError(f"--fault {name}={what}: expected a {'whole ' * whole}number above 0{most}, got {text[:60]!r}")


def altered(argv: tuple[str, ...], start: int, faults: Faults) -> tuple[tuple[str, ...], str]:
    """Return what a Machine runs at its `start`th start, 1 being the deploy's, and the fault's log line or ""."""
    if 1 < start <= faults.crash_on_start + 1:
        said = f"fault crash-on-start: start {start - 1} of {faults.crash_on_start} that end at once"
        return ("sh", "-c", "echo 'fault crash-on-start'; exit 1"), said
    if faults.never_bind:
        return _late(_NEVER_SECONDS, argv), "fault never-bind: the app does not start"
    if faults.slow_bind_seconds:
        said = f"fault slow-bind: the app starts {faults.slow_bind_seconds:g}s late"
        return _late(faults.slow_bind_seconds, argv), said
    return argv, ""


def _late(seconds: float, argv: tuple[str, ...]) -> tuple[str, ...]:
    return (sys.executable, "-IS", "-c", _START_LATE, str(seconds), *argv)
