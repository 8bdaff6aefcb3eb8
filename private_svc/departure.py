"""Why and when this process leaves: a signal, a request, a part of the service that failed, or idle time.

A Machine whose app exits 0 is stopped, and the next request starts it again: leaving when idle is how an app chooses
the delay before its Machine sleeps (docs/fly.md, "Sleep and wake"). The idle time restarts with work, and with
a resume, because a caller that wakes a Machine is about to ask something.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from typing import TYPE_CHECKING

from private_svc import logs
from private_svc.awake import CHECK_SECONDS
from private_svc.boot import clock

if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

    from private_svc.activity import Activity
    from private_svc.awake import Awake
    from private_svc.context import Context
    from private_svc.suspend import Suspender

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Departure:
    """A reason to leave, once there is one; the first counts."""

    def __init__(self) -> None:
        self._reason: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def because(self, reason: str) -> None:
        """Leave for `reason`, unless we already do."""
        if not self._reason.done():
            self._reason.set_result(reason)

    def if_it_fails(self, part: asyncio.Task[Any]) -> None:
        """Leave when a part of the service fails: a service that lacks a part must not stay up without a word."""
        part.add_done_callback(
            lambda ended: self.because(f"{ended.get_name()} failed") if failure(ended) is not None else None
        )

    @property
    def decided(self) -> bool:
        """Tell whether there is a reason."""
        return self._reason.done()

    async def reason(self) -> str:
        """Wait for the reason, and return it."""
        return await asyncio.shield(self._reason)


def failure(part: asyncio.Task[Any]) -> BaseException | None:
    """Return why a part of the service failed, or None while it has not."""
    if not part.done():
        return None
    return asyncio.CancelledError(f"{part.get_name()} was cancelled") if part.cancelled() else part.exception()


def leave_on_signals(departure: Departure) -> None:
    """Leave on the first signal; a second one ends the process at once, even while your application holds the loop."""
    loop = asyncio.get_running_loop()
    received: list[int] = []

    def caught(number: int, _: FrameType | None) -> None:
        received.append(number)
        name = signal.Signals(number).name
        if len(received) > 1:
            try:
                logs.event("leaving at once", level=logging.WARNING, signal=name)
                logs.flush()
            finally:
                os._exit(128 + number)
        loop.call_soon_threadsafe(departure.because, name)

    for number in SIGNALS:
        signal.signal(number, caught)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # they wait since before the ports were bound


async def watch_idle_time(
    context: Context,
    departure: Departure,
    suspender: Suspender,
    serving: asyncio.Task[Any],
    check_seconds: float = CHECK_SECONDS,
) -> None:
    """From when we serve until we leave, check every `check_seconds` for a resume and for enough idle time."""
    await asyncio.wait([serving])
    awake, limit_seconds = context.awake, context.config.idle_exit_seconds
    awake.read_clocks()
    since_s = clock()  # idle time is counted from here on
    logged_seconds = awake.suspended_seconds
    while not departure.decided:
        await asyncio.sleep(check_seconds)
        awake.read_clocks()
        if awake.suspended_seconds > logged_seconds:  # noticed just now, or by a request
            logs.event("resumed", suspended_seconds=round(awake.suspended_seconds - logged_seconds, 1))
            logged_seconds = awake.suspended_seconds
        idle = idle_seconds(clock(), since_s, context.activity, awake)
        if not limit_seconds or idle < limit_seconds:
            continue
        reason = f"idle for {idle:.0f} s"
        if context.config.idle_action == "exit":
            departure.because(reason)
        else:
            await suspender.suspend_when_quiet(context.activity, context.config.drain_seconds, reason)
            since_s = clock()  # after the resume, or the failure, the idle time restarts


def idle_seconds(now_s: float, serving_s: float, activity: Activity, awake: Awake) -> float:
    """Return how long nobody has wanted anything; 0 while somebody does. Times in seconds of `boot.clock`."""
    if activity.working:
        return 0.0
    return max(0.0, now_s - max(serving_s, activity.last_work_s, awake.resumed_s or 0.0))
