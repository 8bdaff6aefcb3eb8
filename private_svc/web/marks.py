"""What every answer says about this Machine, so that a client can prove which one it was, and which request woke it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from private_svc.context import Context

ALWAYS = {"Server": "private-svc", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


def marks(context: Context) -> dict[str, str]:
    """Return the headers that every answer carries."""
    timing = context.boot.server_timing(context.awake.resumed_s)
    return {**ALWAYS, "X-Machine-Id": context.machine.machine_id, "Server-Timing": timing}
