"""How many Machines, of which process group, in which region: `--scale` read and applied.  Pure.

Rules:

- Parts are joined by commas: `N` in the app's primary region, or `REGION=N`; `GROUP:` before one is for that process
  group alone, as in `web:ams=2,web:cdg=1,worker:1`.
- Parts without a group are for every group that has no part of its own; without any, such a group gets one Machine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

_PART = re.compile(r"(?:(?P<group>[^:=,]+):)?(?:(?P<region>[a-z]{3})=)?(?P<count>[0-9]{1,4})")
_MOST_SHOWN = 99


@dataclass(frozen=True, slots=True)
class Part:
    """Some Machines: of `group`, or "" for every other group; in `region`, or "" for the primary one."""

    group: str
    region: str
    count: int


def parse_scale(text: str) -> tuple[Part, ...]:
    """Read `--scale`; raise `UsageError` for what is no scale or says one thing twice."""
    parts: list[Part] = []
    for piece in text.split(","):
        found = _PART.fullmatch(piece)
        if found is None or int(found["count"]) == 0:
            raise _wrong("N, REGION=N or GROUP:REGION=N, joined by commas, N from 1 to 9999, regions like ams", text)
        part = Part(found["group"] or "", found["region"] or "", int(found["count"]))
        if (part.group, part.region) in {(other.group, other.region) for other in parts}:
            raise _wrong(f"each group and region once, {piece!r} says one again", text)
        parts.append(part)
    return tuple(parts)


def check_groups(parts: Sequence[Part], groups: Sequence[str]) -> None:
    """Raise `UsageError` for a part whose process group no app has."""
    for part in parts:
        if part.group and part.group not in groups:
            raise UsageError(f"--scale: expected some of the groups {', '.join(groups)}, got {part.group!r}")


def machines_of(parts: Sequence[Part], group: str, primary_region: str) -> dict[str, int]:
    """Return how many Machines `group` has in each region, in the order given."""
    own = [part for part in parts if part.group == group] or [part for part in parts if not part.group]
    counts: dict[str, int] = {}
    for part in own or [Part("", "", 1)]:
        region = part.region or primary_region
        counts[region] = counts.get(region, 0) + part.count
    return counts


def _wrong(expected: str, text: str) -> UsageError:
    return UsageError(f"--scale: expected {expected}, got {text[:_MOST_SHOWN]!r}")
