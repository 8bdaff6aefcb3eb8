"""Was that request cold? Only the app can prove it: its process is younger than the request.

Rules (DESIGN, "HTTP": `Server-Timing: boot;dur=…, age;dur=…` on every response)
- age is the time since the process began, taken when the response was made; boot is from exec to the moment it could
  answer; both in ms.
- Cold is proven when age is less than the time from the request's start to the first byte of its response.
  The first byte and not the last: a slow body must not make an old process look young.
- A process older than the request refutes it: another caller woke it first, or a suspended Machine resumed.
- Without `age`, the most that can be said is that the Machines were seen asleep in DNS before.
- A proven cold start divides: the app's part is boot, the platform's is the rest of the total.
- Warm is proven the other way round: the process is at least as old as the request.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

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


@dataclass(frozen=True, slots=True)
class Judgement:
    """How sure, why, and for a proven cold start whose time it was."""

    proof: Proof
    why: str
    app_ms: float | None = None
    platform_ms: float | None = None


def read_server_timing(header: str) -> ServerTiming:
    """Read a `Server-Timing` header; what cannot be read counts as not said."""
    found = (re.search(_METRIC.format(name), header[:_MAX_HEADER_CHARACTERS]) for name in ("boot", "age"))
    return ServerTiming(*(float(match[1]) if match else None for match in found))


def judge_cold(timing: ServerTiming, timed: Timed) -> Judgement:
    """Say whether the request was the one that woke the Machine."""
    age_ms, elapsed_ms = timing.age_ms, timed.until_first_byte_ms
    if age_ms is None:
        return Judgement(Proof.SEEN_ASLEEP, _untold(timed))
    if age_ms >= elapsed_ms:
        return Judgement(
            Proof.NOT_PROVEN,
            f"the app's process is {_span(age_ms)} old, the request only {_span(elapsed_ms)}: "
            "another caller woke it first, or a suspended Machine resumed",
        )
    why = f"the app's process is {_span(age_ms)} old, younger than the request ({_span(elapsed_ms)})"
    if timing.boot_ms is None or timing.boot_ms > age_ms:
        return Judgement(Proof.PROVEN, why)
    return Judgement(Proof.PROVEN, why, timing.boot_ms, timed.total_ms - timing.boot_ms)


def judge_warm(timing: ServerTiming, timed: Timed) -> Judgement:
    """Say whether the process was there before the request."""
    if timing.age_ms is None:
        return Judgement(Proof.UNTOLD, _untold(timed))
    old = f"the app's process is {_span(timing.age_ms)} old"
    if timing.age_ms < timed.until_first_byte_ms:
        return Judgement(Proof.NOT_PROVEN, f"{old}, younger than the request: this was a cold start too")
    return Judgement(Proof.PROVEN, old)


def _untold(timed: Timed) -> str:
    return "the response has no Server-Timing with age" if timed.reply else "raw TCP carries no Server-Timing"


def _span(duration_ms: float) -> str:
    limit_ms = 10_000
    return f"{duration_ms:.0f} ms" if duration_ms < limit_ms else f"{duration_ms / 1000:.0f} s"
