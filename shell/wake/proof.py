"""Was that request cold? Only the app can prove it: its process, or its resume, is younger than the request.

Rules (`Server-Timing: boot;dur=…, age;dur=…` on every response, `resumed;dur=…` after a resume)
- age is the time since the process began, taken when the response was made; boot is from exec to the moment it could
  answer; resumed is the time since the process noticed that its Machine had been suspended; all in ms.
- A start from stop is proven when age is less than the time from the first packet to the app's address to the first
  byte of its response. Not from the question to DNS: while that waits, another caller may wake the Machine. And not
  to the last byte: a slow body must not make an old process look young.
- A start from suspend is proven when resumed is less than that. A short suspension goes unnoticed: then a process
  that is older than the last sign that the app was up (an answer, or a started Machine in DNS) lived through a sleep
  that DNS showed, so its Machine was suspended; that this request resumed it is seen, not proven.
- Any other process older than the request refutes it: another caller woke it first, or nobody can tell.
- Without `age`, the most that can be said is that the Machines were seen asleep in DNS before; the mode is what the
  service said when it was asked to sleep.
- A proven start divides (parts.py). A resumed process does not boot.
- Warm is proven the other way round: the process is at least as old as the request.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from shell.wake.parts import Parts, divide
from shell.wake.plan import SleepMode

if TYPE_CHECKING:
    from shell.phases import Timed

_METRIC = r'(?i:(?:^|,)\s*{}\s*;(?:[^,]*;)?\s*dur\s*=\s*"?([0-9]+(?:\.[0-9]+)?)"?\s*(?:[,;]|$))'
_MAX_HEADER_CHARACTERS = 4096


class Proof(StrEnum):
    """How sure it is that a request was what it is called."""

    PROVEN = "proven"
    SEEN_ASLEEP = "seen asleep in DNS before, not proven by the app"
    UNTOLD = "not proven by the app"
    NOT_PROVEN = "not proven"


@dataclass(frozen=True, slots=True)
class ServerTiming:
    """What the app says of its own process, in ms; None where it says nothing."""

    boot_ms: float | None = None
    age_ms: float | None = None
    resumed_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Asleep:
    """What is known of the sleep before a request.

    `up_ms` is how long before the request was the last sign that the app was up, None without any; `mode` is how the
    service said that it would sleep, None when it was not asked.
    """

    up_ms: float | None = None
    mode: SleepMode | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """How sure, why, from which sleep it woke, and where the time went, as far as that is known."""

    proof: Proof
    why: str
    woke_from: SleepMode | None = None
    parts: Parts | None = None


def read_server_timing(header: str) -> ServerTiming:
    """Read a `Server-Timing` header; what cannot be read counts as not said."""
    names = ("boot", "age", "resumed")
    found = (re.search(_METRIC.format(name), header[:_MAX_HEADER_CHARACTERS]) for name in names)
    return ServerTiming(*(float(match[1]) if match else None for match in found))


def judge_cold(timing: ServerTiming, timed: Timed, asleep: Asleep) -> Judgement:
    """Say whether the request was the one that woke the Machine, and from which sleep."""
    age_ms, elapsed_ms = timing.age_ms, timed.since_connecting_ms
    if age_ms is None:
        return Judgement(Proof.SEEN_ASLEEP, _untold(timed), asleep.mode)
    if age_ms < elapsed_ms:
        return _started(timing, timed, age_ms)
    if timing.resumed_ms is not None and timing.resumed_ms < elapsed_ms:
        why = f"its Machine resumed {_span(timing.resumed_ms)} before it answered, within the request"
        return _resumed(Proof.PROVEN, f"{why} ({_span(elapsed_ms)})", timed, timing.resumed_ms)
    unknown_ms = None if asleep.up_ms is None else asleep.up_ms + timed.until_first_byte_ms
    resumed_since = timing.resumed_ms is not None and unknown_ms is not None and timing.resumed_ms <= unknown_ms
    if unknown_ms is not None and age_ms > unknown_ms and not resumed_since:
        why = f"the app's process is {_span(age_ms)} old, it was there before the sleep: a suspended Machine resumed"
        return _resumed(Proof.SEEN_ASLEEP, why, timed, 0.0)
    return Judgement(Proof.NOT_PROVEN, _who_woke_it(timing, age_ms, elapsed_ms, unknown_ms))


def judge_warm(timing: ServerTiming, timed: Timed) -> Judgement:
    """Say whether the process was there before the request."""
    if timing.age_ms is None:
        return Judgement(Proof.UNTOLD, _untold(timed))
    old = f"the app's process is {_span(timing.age_ms)} old"
    if timing.age_ms < timed.since_connecting_ms:
        return Judgement(Proof.NOT_PROVEN, f"{old}, younger than the request: this was a cold start too")
    return Judgement(Proof.PROVEN, old)


def _started(timing: ServerTiming, timed: Timed, age_ms: float) -> Judgement:
    elapsed = _span(timed.since_connecting_ms)
    why = f"the app's process is {_span(age_ms)} old, younger than the request ({elapsed})"
    if timing.boot_ms is None or timing.boot_ms > age_ms:
        return Judgement(Proof.PROVEN, why, SleepMode.STOP)
    return Judgement(Proof.PROVEN, why, SleepMode.STOP, divide(timed, age_ms, timing.boot_ms))


def _resumed(proof: Proof, why: str, timed: Timed, resumed_ms: float) -> Judgement:
    return Judgement(proof, why, SleepMode.SUSPEND, divide(timed, resumed_ms, 0.0))


def _who_woke_it(timing: ServerTiming, age_ms: float, elapsed_ms: float, unknown_ms: float | None) -> str:
    old = f"the app's process is {_span(age_ms)} old, the request only {_span(elapsed_ms)}"
    if unknown_ms is None:
        return f"{old}: another caller woke it first, or a suspended Machine resumed"
    if timing.resumed_ms is not None and timing.resumed_ms <= unknown_ms < age_ms:
        ago = _span(timing.resumed_ms)
        return (
            f"its Machine resumed {ago} ago, the request is only {_span(elapsed_ms)} old: another caller woke it first"
        )
    return f"{old}, and the app was last seen up {_span(unknown_ms)} ago: another caller woke it in between"


def _untold(timed: Timed) -> str:
    return "the response has no Server-Timing with age" if timed.reply else "raw TCP carries no Server-Timing"


def _span(duration_ms: float) -> str:
    limit_ms = 10_000
    return f"{duration_ms:.0f} ms" if duration_ms < limit_ms else f"{duration_ms / 1000:.0f} s"
