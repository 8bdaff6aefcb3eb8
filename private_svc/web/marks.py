"""What every answer says about this Machine, so that a client can prove which one it was, and which request woke it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from multidict import CIMultiDict, istr

if TYPE_CHECKING:
    from private_svc.context import Context

TIMING = istr("Server-Timing")


@cache
def fixed(machine_id: str) -> CIMultiDict[str]:
    """Return the headers that are the same in every answer, ready to be copied."""
    return CIMultiDict(
        {
            istr("Server"): "private-svc",
            istr("X-Content-Type-Options"): "nosniff",
            istr("Referrer-Policy"): "no-referrer",
            istr("X-Machine-Id"): machine_id,
        }
    )


def timing(context: Context) -> str:
    """Return the value of `TIMING` at this moment; it tells a resume, too."""
    return context.boot.server_timing(context.awake.resumed_s)


def mark(headers: CIMultiDict[str], context: Context) -> None:
    """Put on what every answer carries."""
    headers.update(fixed(context.machine.machine_id))
    headers[TIMING] = timing(context)
