"""Whether what a server saw in some bytes is what others see in them, as far as those take them at all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.fuzz.readings import PARSERS, Ended
from tests.fuzz.target import Broken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.fuzz.readings import Reading, Request

LONGEST = 8192  # the other parsers read byte by byte
_ABSOLUTE = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)


def as_sent(data: bytes, requests: Sequence[Request]) -> list[Reading]:
    """Return how others read `data`; raise `Broken` unless `requests` is what they see."""
    readings = [parser(data) for parser in PARSERS.values()]
    confirmed = False
    for name, reading in zip(PARSERS, readings, strict=True):
        for saw, theirs in zip(requests, reading.whole, strict=False):
            if (saw.method, _path(saw), saw.body) != (theirs.method, _path(theirs), theirs.body):
                raise Broken(f"smuggled: the Machine saw {saw}, {name} sees {theirs}: {data!r}")
        enough = len(requests) <= len(reading.whole)
        if not enough and reading.ended in {Ended.OPEN, Ended.CLOSED}:
            raise Broken(f"smuggled: the Machine saw {requests}, {name} sees {reading}: {data!r}")
        confirmed |= enough
    if not confirmed:
        raise Broken(f"nobody else sees {requests} in {data!r}: {readings}")
    return readings


def _path(request: Request) -> bytes:
    """Return what a target in absolute form is to a Machine (RFC 9112 sections 3.2.2 and 3.2.4)."""
    absolute = _ABSOLUTE.match(request.target)
    if absolute is None:
        return request.target
    path = request.target[absolute.end() :].partition(b"#")[0]
    if not path and request.method == b"OPTIONS":
        return b"*"
    return path if path.startswith(b"/") else b"/" + path
