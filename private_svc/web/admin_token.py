"""The ADMIN_TOKEN: who may act. It protects `POST /api/sleep`, and any route of yours that calls `require_token`.

- No ADMIN_TOKEN, no action. The token comes in `X-Admin-Token`, or as Bearer in `Authorization` (RFC 6750), which a
  login in front of the service may need for itself. It is compared in constant time.
- The 401 offers Bearer alone, so that no browser asks for the token, keeps it and sends it without being told.
- Another site's page is refused before the token is looked at.
- Wrong tokens are throttled by address and by network. The right token always passes, so that nobody can lock out a
  neighbour; what stands against guessing is the length of the token.
- Every decision is a line in the log, except throttled guesses, which are counted and logged at most once a minute.
"""

from __future__ import annotations

import hmac
import json
import logging
from hashlib import sha256
from typing import TYPE_CHECKING

from aiohttp import web

from private_svc import logs
from private_svc.web.caller import caller_of, path_of, user_of
from private_svc.web.negotiate import Form
from private_svc.web.origin import is_cross_site
from private_svc.web.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

    from private_svc.context import Context

THROTTLED_LOG_SECONDS = 60.0
OFF = "actions are off: no ADMIN_TOKEN is set; fly secrets set ADMIN_TOKEN=$(openssl rand -hex 32){app}"
HEADER = "X-Admin-Token"


class AdminToken:
    """Judges the token of a request."""

    def __init__(self, context: Context) -> None:
        self._activity = context.activity
        self._app_name = context.machine.app_name
        self._throttle = Throttle()
        self._log_limit = logs.RateLimit(THROTTLED_LOG_SECONDS)
        token = context.config.admin_token
        self._hash = sha256(token.encode()).digest() if token is not None else None

    @property
    def off(self) -> str:
        """Return why there are no actions, and how to get them; "" when there are."""
        return "" if self._hash is not None else OFF.format(app=f" -a {self._app_name}" if self._app_name else "")

    def require(self, request: web.BaseRequest, action: str) -> None:
        """Return if `request` carries the token, else raise the answer that refuses it; log which."""
        if is_cross_site(request.headers):
            audit(request, action, "cross_site")
            _refuse(web.HTTPForbidden, "a page of another site sent this")
        if self._hash is None:
            audit(request, action, "off")
            _refuse(web.HTTPForbidden, self.off)
        token = _token(request.headers)
        if token is not None and hmac.compare_digest(sha256(token).digest(), self._hash):
            audit(request, action, "accepted")
            return
        if token is not None:
            self._slow_down(request, action)
        audit(request, action, "no_token" if token is None else "wrong_token")
        _refuse(
            web.HTTPUnauthorized,
            f"expected the ADMIN_TOKEN in {HEADER}, or in Authorization as Bearer",
            {"WWW-Authenticate": 'Bearer realm="private-svc"'},
        )

    def _slow_down(self, request: web.BaseRequest, action: str) -> None:
        """Note a wrong token; refuse it with the time to wait when there were too many."""
        client = caller_of(request).client
        wait_seconds = self._throttle.wait_seconds(client)
        if wait_seconds <= 0:
            self._throttle.wrong(client)
            return
        self._activity.throttled += 1
        if self._log_limit.allows():
            audit(request, action, "throttled", f"{self._activity.throttled} so far")
        _refuse(
            web.HTTPTooManyRequests,
            f"too many wrong tokens; wait {wait_seconds:.0f} s",
            {"Retry-After": str(int(wait_seconds) + 1)},
        )


ADMIN_TOKEN = web.RequestKey("admin_token", AdminToken)


def require_token(request: web.BaseRequest, action: str = "") -> None:
    """Return if `request` carries the ADMIN_TOKEN; else raise a `web.HTTPException`: 401, 403 or 429.

    Each decision is an `audit` line in the log that names `action`, by default the method and path; throttled guesses
    are one line a minute at most. In a test of your
    application without the service nobody has the token: 403.
    """
    held = request.get(ADMIN_TOKEN)
    if held is None:
        _refuse(web.HTTPForbidden, "this application runs without private-svc, so nobody has an ADMIN_TOKEN")
    held.require(request, action or f"{request.method} {path_of(request)}")


def audit(request: web.BaseRequest, action: str, outcome: str, note: str = "") -> None:
    """Log who wanted what, and what came of it."""
    caller = caller_of(request)
    logs.event(
        "audit",
        level=logging.INFO if outcome == "accepted" else logging.WARNING,
        action=action,
        outcome=outcome,
        ingress=caller.ingress,
        client=caller.client,
        **user_of(request),
        note=note,
    )


def _refuse(kind: type[web.HTTPException], error: str, headers: Mapping[str, str] | None = None) -> NoReturn:
    text = json.dumps({"status": kind.status_code, "error": error}) + "\n"
    raise kind(text=text, content_type=Form.JSON, headers=headers)


def _token(headers: Mapping[str, str]) -> bytes | None:
    """Return the token in the headers of a request, or None when there is none."""
    token = headers.get(HEADER, "").strip()
    if not token:
        scheme, _, credentials = headers.get("Authorization", "").partition(" ")
        token = credentials.strip() if scheme.lower() == "bearer" else ""
    return token.encode(errors="surrogateescape") if token else None  # the bytes that came
