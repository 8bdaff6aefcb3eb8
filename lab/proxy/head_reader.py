"""Reading one HTTP head off a connection, however its bytes were split."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lab.proxy.bodies import CutShortError
from lab.proxy.heads import find_end

if TYPE_CHECKING:
    from lab.proxy.link import Link


async def read_head(link: Link, idle_seconds: float | None, head_seconds: float) -> bytes | None:
    """Return the next head, or None when the connection ends before its first byte.

    Wait `idle_seconds` for the first byte and `head_seconds` for the rest, then raise `TimeoutError`. Raise
    `BadMessageError` for a head that is too long, has a bare LF, or ends early.
    """
    if not link.received and not await link.more(idle_seconds):
        return None
    scanned = 0
    deadline = 0.0
    loop = asyncio.get_running_loop()
    while (end := find_end(link.received, scanned)) < 0:
        scanned = len(link.received)
        deadline = deadline or loop.time() + head_seconds
        if not await link.more(deadline - loop.time()):
            raise CutShortError("the connection ended in the middle of a head")
    return link.take(end)
