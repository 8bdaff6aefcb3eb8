"""Go's duration syntax, which fly.toml uses: `90s`, `1m30s`, `1.5h`, `300ms`.

Rules (Go `time.ParseDuration`): an optional sign, then one or more decimal numbers, each with a unit out
of ns, us, µs, ms, s, m, h. `0` alone needs no unit; any other bare number is an error.
"""

from __future__ import annotations

import re

# Go takes both the micro sign and the Greek letter.
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(?P<number>[0-9]+\.?[0-9]*|\.[0-9]+)(?P<unit>[^0-9.]*)", re.ASCII)


def parse_seconds(text: str) -> float:
    """Return the duration in seconds; raise `ValueError` with Go's own words when it is not one."""
    unsigned = text[1:] if text[:1] in {"+", "-"} else text
    if unsigned == "0":
        return 0.0
    total, position = 0.0, 0
    while position < len(unsigned):
        part = _PART.match(unsigned, position)
        if part is None:
            break
        unit = part["unit"]
        if not unit:
            raise ValueError(f'time: missing unit in duration "{text}"')
        if unit not in _SECONDS:
            raise ValueError(f'time: unknown unit "{unit}" in duration "{text}"')
        total += float(part["number"]) * _SECONDS[unit]
        position = part.end()
    if not unsigned or position < len(unsigned):
        raise ValueError(f'time: invalid duration "{text}"')
    return -total if text[0] == "-" else total
