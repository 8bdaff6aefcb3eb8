"""Ask the service itself to sleep: `POST /api/sleep` through its Flycast address, with the admin token.

Where an application of yours has every path (`APP_PATH=/`), the service is asked at `/_/api/sleep`. Its refusals are
JSON with an `error`; an answer without one is somebody else's.

Rules
- 202 names the Machine that answered and goes; every other status is a refusal and ends the run.
- Asking wakes an app that sleeps, and DNS lags: while a Machine that was asked is listed as started, nobody is asked
  again; once it is gone and others are up, the next is.
- The token comes from the environment alone and is never written anywhere.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from shell.errors import NotWellError, UsageError
from shell.phases import time_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shell.asleep import AppView
    from shell.http_reply import Reply
    from shell.phases import Edge, Target
    from shell.wake.plan import SleepMode

_PATHS = ("/api/sleep", "/_/api/sleep")
_VARIABLE = "ADMIN_TOKEN"
_ACCEPTED = 202
_MAX_BODY_BYTES = 4096
_MAX_WORDS = 300
_REFUSALS = {
    401: f"the token was not accepted; is {_VARIABLE} here the secret that the app has?",
    403: "refused; has the app a token (`fly secrets set ADMIN_TOKEN=…`), and was it asked over Flycast?",
    404: "there is no such path; only this blueprint's service can be asked to sleep",
    429: "too many wrong tokens came from here; wait a minute and check the token",
    501: "the Machine cannot do that itself; --sleep=stop works everywhere",
}


def token_from(environ: Mapping[str, str]) -> str:
    """Return the admin token; raise `UsageError` when there is none, or none that fits into a header."""
    token = environ.get(_VARIABLE, "")
    if not token:
        raise UsageError(f"--sleep: expected the app's token in the environment variable {_VARIABLE}, got nothing")
    if not all("!" <= character <= "~" for character in token):
        raise UsageError(f"--sleep: expected printable ASCII without spaces in {_VARIABLE}, got something else")
    return token


class Sandman:
    """Asks the Machines that are up to sleep, one after the other, once."""

    def __init__(self, http: Target, edge: Edge, token: str, mode: SleepMode) -> None:
        """Ask the HTTP port that `http` names."""
        self._target = replace(http, path=_PATHS[0])
        self._edge = edge
        self._token = token
        self._mode = mode
        self._asked: set[str] = set()
        self.answered_s: float | None = None  # when the app last answered, on the edge's clock

    def ask(self, view: AppView) -> str:
        """Ask if nobody who was asked is still up; return what to tell a person; raise `NotWellError`."""
        self._asked &= {machine.machine_id for machine in view.started}
        if not self._asked:
            machine_id = self._post()
            if machine_id not in {machine.machine_id for machine in view.deployed}:
                raise NotWellError(
                    f"{self._target}: Machine {machine_id} answered, which DNS does not list: another app?"
                )
            self._asked.add(machine_id)
        return f"asked {', '.join(sorted(self._asked))} to {self._mode}"

    def _post(self) -> str:
        """Return the Machine that said it goes."""
        reply = self._reply(self._target)
        elsewhere = replace(self._target, path=_PATHS[1])
        if reply is not None and reply.status != _ACCEPTED and not _field(reply, "error"):
            moved = self._reply(elsewhere)
            if moved is not None and (moved.status == _ACCEPTED or _field(moved, "error")):
                self._target, reply = elsewhere, moved
        if reply is None or reply.status != _ACCEPTED:
            raise NotWellError(f"{self._target}: {self._refusal(reply)}")
        machine_id, agreed = _field(reply, "machine_id"), _field(reply, "mode")
        if not machine_id or agreed != self._mode:
            got = f"{machine_id[:40]!r} and {agreed[:40]!r}"
            raise NotWellError(f"{self._target}: expected 202 with a machine_id and mode {self._mode}, got {got}")
        return machine_id

    def _reply(self, target: Target) -> Reply | None:
        timed = time_request(target, self._edge, self._message(target), _MAX_BODY_BYTES)
        self.answered_s = self._edge.clock()
        return timed.reply

    def _message(self, target: Target) -> bytes:
        body = json.dumps({"mode": self._mode})
        return (
            f"POST {target.path} HTTP/1.1\r\nHost: {target.host}\r\nUser-Agent: flycast-probe\r\n"
            f"Authorization: Bearer {self._token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
        ).encode("ascii")

    def _refusal(self, reply: Reply | None) -> str:
        if reply is None:
            return "not an HTTP port"
        words = _REFUSALS.get(reply.status, f"expected {_ACCEPTED}, the service did not agree to sleep")
        said = _field(reply, "error")
        quoted = f" (it says: {said[:_MAX_WORDS]})" if said and self._token not in said else ""
        return f"{reply.status}: {words}{quoted}"


def _field(reply: Reply, name: str) -> str:
    """Return a text in the JSON object of a body, or ""."""
    try:
        said = json.loads(reply.body)
    except (ValueError, RecursionError):
        return ""
    value = said.get(name) if isinstance(said, dict) else None
    return value if isinstance(value, str) else ""
