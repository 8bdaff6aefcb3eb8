"""What may be done from outside: put this Machine to sleep, by stopping or by suspending it.

- No ADMIN_TOKEN, no action. The token comes as Bearer, or as the password of Basic (RFC 6750, RFC 7617); it is compared
  in constant time. The 401 offers Bearer alone, so that no browser keeps the token and sends it by itself.
- Another site's page is refused before the token is looked at, and wrong guesses are throttled by client.
- Every decision is a line in the log, except throttled guesses: those are counted, and said once a minute.
- The caller gets an answer before the Machine goes: stopping drains, and suspending waits until it is out.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import time
from base64 import b64decode
from binascii import Error as Base64Error
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING

from private_svc import logs
from private_svc.suspend import SuspendError
from private_svc.web.caller import caller_of
from private_svc.web.guard import json_line
from private_svc.web.origin import is_cross_site
from private_svc.web.throttle import Throttle

if TYPE_CHECKING:
    from aiohttp import web

    from private_svc.context import Context
    from private_svc.departure import Departure
    from private_svc.ingress import Caller
    from private_svc.suspend import Suspender

BODY_AT_MOST = 1024
BODY_SECONDS = 5.0
THROTTLED_LOG_SECONDS = 60.0
OFF = "actions are off: no ADMIN_TOKEN is set; fly secrets set ADMIN_TOKEN=$(openssl rand -hex 32){app}"


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
        self._throttle = Throttle()
        self._throttled_log_s = float("-inf")
        token = context.config.admin_token
        self._token_hash = sha256(token.encode()).digest() if token is not None else None
        self._suspending: asyncio.Task[None] | None = None

    @property
    def off(self) -> str:
        """Return why there are no actions, and how to get them; "" when there are."""
        app_name = self._context.machine.app_name
        return OFF.format(app=f" -a {app_name}" if app_name else "") if self._token_hash is None else ""

    async def sleep(self, request: web.Request) -> web.Response:
        """Put this Machine to sleep, if the caller may."""
        caller = caller_of(request)
        refusal = self._refusal(request, caller)
        if refusal is not None:
            return refusal
        try:
            mode = _mode(await _body(request))
        except ValueError as error:
            return json_line({"status": 400, "error": str(error)}, 400)
        try:
            if mode is Mode.SUSPEND:
                await self._suspender.check()
        except SuspendError as error:
            self._log("failed", caller, str(error))
            return json_line({"status": 501, "error": str(error)}, 501)
        self._log("accepted", caller, mode)
        status = "stopping"
        reason = f"asked by {caller.client}"
        if mode is Mode.STOP:
            self._departure.because(reason)
        else:
            status = "suspending"
            self._suspend_soon(reason)
        machine_id = self._context.machine.machine_id
        return json_line({"status": status, "mode": mode, "machine_id": machine_id}, 202)

    def _refusal(self, request: web.Request, caller: Caller) -> web.Response | None:
        """Return the answer to who may not do this, or None."""
        if is_cross_site(request.headers):
            self._log("cross_site", caller)
            return json_line({"status": 403, "error": "a page of another site sent this"}, 403)
        if self._token_hash is None:
            self._log("off", caller)
            return json_line({"status": 403, "error": self.off}, 403)
        wait_seconds = self._throttle.wait_seconds(caller.client)
        if wait_seconds > 0:
            self._note_throttled(caller)
            answer = json_line({"status": 429, "error": f"too many wrong tokens; wait {wait_seconds:.0f} s"}, 429)
            answer.headers["Retry-After"] = str(int(wait_seconds) + 1)
            return answer
        token = _token(request.headers.get("Authorization", ""))
        if token is not None and hmac.compare_digest(sha256(token).digest(), self._token_hash):
            return None
        if token is not None:
            self._throttle.wrong(caller.client)
        self._log("wrong_token" if token is not None else "no_token", caller)
        answer = json_line({"status": 401, "error": "expected Authorization: Bearer and the ADMIN_TOKEN"}, 401)
        answer.headers["WWW-Authenticate"] = 'Bearer realm="private-svc"'
        return answer

    def _suspend_soon(self, reason: str) -> None:
        """Suspend once this answer is out and nobody else waits for one."""
        if self._suspending is None or self._suspending.done():
            suspension = self._suspender.suspend_when_quiet(
                self._context.activity, self._context.config.drain_seconds, reason
            )
            self._suspending = asyncio.get_running_loop().create_task(suspension)

    def _note_throttled(self, caller: Caller) -> None:
        self._context.activity.throttled += 1
        now_s = time.monotonic()
        if now_s - self._throttled_log_s >= THROTTLED_LOG_SECONDS:
            self._throttled_log_s = now_s
            self._log("throttled", caller, f"{self._context.activity.throttled} so far")

    def _log(self, outcome: str, caller: Caller, note: str = "") -> None:
        logs.event(
            "audit",
            level=logging.INFO if outcome == "accepted" else logging.WARNING,
            action="sleep",
            outcome=outcome,
            ingress=caller.ingress,
            client=caller.client,
            note=note,
        )


def _token(authorization: str) -> bytes | None:
    """Return the token in the value of an Authorization header, or None when there is none."""
    scheme, _, credentials = authorization.partition(" ")
    credentials = credentials.strip()
    if not credentials:
        return None
    if scheme.lower() == "bearer":
        return credentials.encode(errors="surrogateescape")  # the bytes that came
    if scheme.lower() == "basic":
        try:
            return b64decode(credentials, validate=True).partition(b":")[2]
        except (Base64Error, ValueError):
            return None
    return None


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
