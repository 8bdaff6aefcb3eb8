"""Faults a person switches on with `--fault` or `flycast-lab fault`: what each one is, how it is written.  Pure.

Each gives the client what Fly gives, because everything but the fault goes on as ever; a log line names the fault
when it strikes.  The app is never changed: it starts late or not at all, is not told, or is killed.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_NUMBER = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,3})?")
_WHOLE = re.compile(r"[0-9]{1,6}")
_MOST_PERCENT = 100
_NEVER_SECONDS = 10**9
_OFF = "off"
_START_LATE = """\
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_DFL)
time.sleep(float(sys.argv[1]))
os.execvp(sys.argv[2], sys.argv[2:])
"""


@dataclass(slots=True)
class Faults:
    """Every fault with its value; a zero is a fault that is not there.

    All parts of a lab look at one of these, which `switch` changes while the lab is up.
    """

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
    at_start: bool = False  # a lab that is up cannot switch it any more


KINDS = {
    "slow-bind": _Kind("slow_bind_seconds", "SECONDS", "the app begins to start this long after its Machine"),
    "never-bind": _Kind("never_bind", "", "the Machine starts, its app never listens"),
    "crash-on-start": _Kind(
        "crash_on_start", "N", "the N starts after the deploy's end at once with status 1", at_start=True
    ),
    "crash-mid-request": _Kind("crash_mid_request_ms", "MS", "a request not answered within MS kills its app"),
    "ignore-sigint": _Kind("ignore_sigint", "", "the app never hears the kill signal"),
    "clock-jump": _Kind(
        "clock_jump_seconds", "SECONDS", "the app's wall clock is so late after a resume, for 3 s", at_start=True
    ),
    "stop-race": _Kind("stop_race_ms", "MS", "the proxy hears of a stop MS later than the app"),
    "stale-dns": _Kind("stale_dns_seconds", "SECONDS", "names answer what was true this long ago"),
    "lost-dns": _Kind("lost_dns_percent", "PERCENT", "so many questions over UDP are never answered"),
    "dns-delay": _Kind("dns_delay_ms", "MS", "answers over UDP leave this much later"),
    "far-delay": _Kind(
        "far_delay_ms", "MS", "packets to and from other regions than the primary one take this longer", at_start=True
    ),
    "far-loss": _Kind("far_loss_percent", "PERCENT", "so many of those packets are lost, each way", at_start=True),
}


def help_text() -> str:
    """Return a line for each fault."""
    names = [f"{name}={kind.value}" if kind.value else name for name, kind in KINDS.items()]
    width = max(map(len, names))
    return "\n".join(f"  {name:<{width}}  {kind.what}" for name, kind in zip(names, KINDS.values(), strict=True))


def parse(texts: Sequence[str]) -> Faults:
    """Read every `--fault`; raise `UsageError` for a name or value there is not."""
    return Faults(**dict(_one(*named) for named in _named(texts)))


def switch(faults: Faults, texts: Sequence[str]) -> None:
    """Change `faults` by every NAME, NAME=VALUE or NAME=off; with one that is wrong raise `UsageError` instead."""
    named = list(_named(texts))
    values = dict(_one(name, value) for name, value in named if value != _OFF)
    values |= {_kind(name).field: getattr(NO_FAULTS, _kind(name).field) for name, value in named if value == _OFF}
    for name, _ in named:
        if KINDS[name].at_start:
            raise UsageError(f"--fault {name}: a lab that is up cannot switch it; give it to 'flycast-lab up'")
    for field, value in values.items():
        setattr(faults, field, value)


def switched_on(faults: Faults) -> list[str]:
    """Return each fault that is on, as it is written."""
    values = {name: getattr(faults, kind.field) for name, kind in KINDS.items()}
    return [name if value is True else f"{name}={value:g}" for name, value in values.items() if value]


def _named(texts: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Yield name and value of each text; the value is None where there is no `=`."""
    seen: set[str] = set()
    for text in texts:
        name, given, value = text.partition("=")
        if name in seen:
            raise UsageError(f"--fault: {name} was given twice")
        seen.add(name)
        yield name, value if given else None


def _kind(name: str) -> _Kind:
    kind = KINDS.get(name)
    if kind is None:
        raise UsageError(f"--fault: expected one of {', '.join(KINDS)}, got {name[:60]!r}")
    return kind


def _one(name: str, value: str | None) -> tuple[str, Any]:
    kind = _kind(name)
    if not kind.value:
        if value is not None:
            raise UsageError(f"--fault {name}: expected no value, got {value[:60]!r}")
        return kind.field, True
    return kind.field, _number(name, kind.value, value or "")


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
