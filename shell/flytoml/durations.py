"""Durations as Go reads and writes them, in nanoseconds.

Rules (Go's `time.ParseDuration` and `Duration.String`; docs/fly.md, "fly.toml")
- `1m30s`, `.5s`, `-2s`, `0`; a number without unit is refused, and so is more than 64 bits of nanoseconds.
- What a bare number stands for depends on its place: the caller says so.
- An empty string is refused too, unless the place ignores it.
"""

from __future__ import annotations

import re
from fractions import Fraction

from shell.flytoml.gotext import quoted

NANOSECOND, MILLISECOND, SECOND = 1, 10**6, 10**9
_UNITS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}  # fmt: skip - both letters mu
_PART = re.compile(r"([0-9]*)(\.?)([0-9]*)([^0-9.]*)")
_LIMIT = 2**63
_LONGEST = 4000  # characters, and so digits that Python turns into a number


class DurationError(ValueError):
    """The text is no duration; the message is Go's."""


def parse(text: str) -> int:
    """Return the nanoseconds that `text` stands for; raise `DurationError` with Go's words."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    if not rest or len(rest) > _LONGEST:
        raise DurationError(f"time: invalid duration {quoted(text)}")
    total = 0
    at = 0
    while at < len(rest):
        part = _PART.match(rest, at)
        if part is None or not (part[1] or part[3]):
            raise DurationError(f"time: invalid duration {quoted(text)}")
        if not part[4]:
            raise DurationError(f"time: missing unit in duration {quoted(text)}")
        if part[4] not in _UNITS:
            raise DurationError(f"time: unknown unit {quoted(part[4])} in duration {quoted(text)}")
        total += int(Fraction(f"{part[1] or 0}.{part[3] or 0}") * _UNITS[part[4]])
        at = part.end()
    if total >= _LIMIT + (sign < 0):
        raise DurationError(f"time: invalid duration {quoted(text)}")
    return sign * total


def written(nanoseconds: int) -> str:
    """Write a duration as Go does: `1m1s`, `500ms`, `10µs`."""
    sign, left = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if left == 0:
        return "0s"
    if left < SECOND:
        unit = "ns" if left < _UNITS["us"] else "µs" if left < MILLISECOND else "ms"
        return f"{sign}{_decimal(left, _UNITS[unit])}{unit}"
    minutes, left = divmod(left, 60 * SECOND)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{head}{_decimal(left, SECOND)}s"


def _decimal(amount: int, unit: int) -> str:
    whole, part = divmod(amount, unit)
    digits = str(part).zfill(len(str(unit)) - 1).rstrip("0")
    return f"{whole}.{digits}" if part else str(whole)
