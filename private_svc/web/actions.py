"""`POST /api/sleep`: put this Machine to sleep, by stopping or by suspending it, if the caller has the ADMIN_TOKEN.

The caller gets an answer before the Machine goes: stopping drains, and suspending waits until the answer is out.
"""

from __future__ import annotations

import asyncio
import json
from enum import StrEnum
from typing import TYPE_CHECKING

from private_svc.suspend import SuspendError
from private_svc.web.admin_token import audit, require_token
from private_svc.web.caller import caller_of
from private_svc.web.replies import json_line

if TYPE_CHECKING:
    from aiohttp import web

    from private_svc.context import Context
    from private_svc.departure import Departure
    from private_svc.suspend import Suspender

BODY_AT_MOST = 1024
BODY_SECONDS = 5.0


class Mode(StrEnum):
    """How a Machine is put to sleep."""

    STOP = "stop"
    SUSPEND = "suspend"


class Actions:
    """Answers `POST /api/sleep`."""

    def __init__(self, context: Context, departure: Departure, suspender: Suspender) -> None:
        self._context = context
        self._departure = departure
        self._suspender = suspender
        self._suspending: asyncio.Task[None] | None = None

    async def sleep(self, request: web.Request) -> web.Response:
        """Put this Machine to sleep, if the caller may."""
        require_token(request, "sleep")
        try:
            mode = _mode(await _body(request))
        except ValueError as error:
            return json_line({"status": 400, "error": str(error)}, 400)
        try:
            if mode is Mode.SUSPEND:
                await self._suspender.check()
        except SuspendError as error:
            audit(request, "sleep", "failed", str(error))
            return json_line({"status": 501, "error": str(error)}, 501)
        status = "stopping"
        reason = f"asked by {caller_of(request).client}"
        if mode is Mode.STOP:
            self._departure.because(reason)
        else:
            status = "suspending"
            self._suspend_soon(reason)
        machine_id = self._context.machine.machine_id
        return json_line({"status": status, "mode": mode, "machine_id": machine_id}, 202)

    def _suspend_soon(self, reason: str) -> None:
        """Suspend once this answer is out and nobody else waits for one."""
        if self._suspending is None or self._suspending.done():
            suspension = self._suspender.suspend_when_quiet(
                self._context.activity, self._context.config.drain_seconds, reason
            )
            self._suspending = asyncio.get_running_loop().create_task(suspension)


async def _body(request: web.Request) -> bytes:
    """Return the body; raise `ValueError` when it is too long or too slow."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while chunk := await request.content.read(BODY_AT_MOST):
                body += chunk
                if len(body) > BODY_AT_MOST:
                    raise ValueError(f"expected a body of at most {BODY_AT_MOST} bytes")
    except TimeoutError as error:
        raise ValueError(f"expected the body within {BODY_SECONDS:.0f} s") from error
    return bytes(body)


def _mode(body: bytes) -> Mode:
    """Return the mode that a body asks for; none asks for a stop. Raise `ValueError`."""
    expected = 'expected a JSON object like {"mode": "stop"} or {"mode": "suspend"}'
    if not body.strip():
        return Mode.STOP
    try:
        asked = json.loads(body, object_pairs_hook=tuple)  # a dict would hide a name that comes twice
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{expected}, got no JSON") from error
    for mode in Mode:
        if asked == (("mode", mode),):
            return mode
    if asked == ():
        return Mode.STOP
    raise ValueError(f"{expected}, got another")
