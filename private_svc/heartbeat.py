"""Look once a second whether this Machine was suspended, and whether it has been idle for long enough to leave."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from private_svc import logs
from private_svc.awake import LOOK_SECONDS
from private_svc.boot import clock
from private_svc.idle import idle_seconds

if TYPE_CHECKING:
    from private_svc.context import Context
    from private_svc.departure import Departure
    from private_svc.suspend import Suspender
    from private_svc.web.admin import Admin


async def beat(
    context: Context,
    departure: Departure,
    suspender: Suspender,
    serving: asyncio.Task[Admin],
    look_seconds: float = LOOK_SECONDS,
) -> None:
    """Look every `look_seconds`, from the moment we serve until there is a reason to leave."""
    await asyncio.wait([serving])
    awake, limit_seconds = context.awake, context.config.idle_exit_seconds
    awake.look()
    since_s = clock()  # idle time is counted from here on
    told_seconds = awake.suspended_seconds
    while not departure.decided:
        await asyncio.sleep(look_seconds)
        awake.look()
        if awake.suspended_seconds > told_seconds:  # noticed just now, or by a request
            logs.event("resumed", suspended_seconds=round(awake.suspended_seconds - told_seconds, 1))
            told_seconds = awake.suspended_seconds
        idle = idle_seconds(clock(), since_s, context.activity, awake)
        if not limit_seconds or idle < limit_seconds:
            continue
        reason = f"idle for {idle:.0f} s"
        if context.config.idle_action == "exit":
            departure.because(reason)
        else:
            await suspender.suspend_when_quiet(context.activity, context.config.drain_seconds, reason)
            since_s = clock()  # after the resume, or the failure, the idle time begins anew
