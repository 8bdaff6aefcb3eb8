"""`/.fly/api`: what a Machine may ask of the Machines API about itself, over a unix socket of its own.

Rules (docs/fly.md, "Machines API"; the words and limits of the answers are ours):

- Plain HTTP, no token: who can open the socket is the Machine's root, and that is proof enough.
- `GET /v1/apps/APP/machines/ID` of this very Machine, and `POST` to `/stop` or `/suspend` below it.  Another
  Machine or app is 403, another path 404; a Machine that is not started cannot be stopped or suspended: 412.
- A `POST` is answered before it is carried out: the app that asks would not live to read the answer.
- One request a connection, and at most 16 connections at a time: further ones are closed.  Every Machine could use up
  the descriptors of the lab otherwise.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lab.errors import LabError, reason
from lab.proxy.heads import BadMessageError, Framing, parse_request, request_body
from lab.states import MachineState

if TYPE_CHECKING:
    import socket

    from lab.log import EventLog
    from lab.machine import Machine

_REQUEST_SECONDS = 10.0
_MOST_CONNECTIONS = 16
_MOST_BODY_BYTES = 64 * 1024
_REASONS = {200: b"OK", 403: b"Forbidden", 404: b"Not Found", 412: b"Precondition Failed"}


class ApiError(LabError):
    """The request is refused with `status`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def action_of(method: str, path: str, app_name: str, machine_id: str) -> str:
    """Return what is asked of this Machine: `get`, `stop` or `suspend`; raise `ApiError` for anything else."""
    match method, path.partition("?")[0].split("/"):
        case "GET", ["", "v1", "apps", app, "machines", machine]:
            action = "get"
        case "POST", ["", "v1", "apps", app, "machines", machine, ("stop" | "suspend") as action]:
            pass
        case _:
            own = f"/v1/apps/{app_name}/machines/{machine_id}"
            raise ApiError(404, f"expected GET {own}, or POST to stop or suspend below it, got {method} {path:.200}")
    if (app, machine) != (app_name, machine_id):
        raise ApiError(403, f"this socket is for machine {machine_id} of app {app_name} only")
    return action


class MachineApi:
    """Answers one Machine."""

    def __init__(self, machine: Machine, log: EventLog) -> None:
        """Act on `machine`; report what fails to `log`."""
        self._machine = machine
        self._log = log
        self._open = 0

    async def serve(self, listener: socket.socket) -> asyncio.Server:
        """Answer on a listening unix socket until the server that is returned is closed."""
        return await asyncio.start_unix_server(self._attend, sock=listener)

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= _MOST_CONNECTIONS:
            writer.close()
            return
        try:
            await self._carry_out(await self._ask(reader, writer))
        except Exception as error:  # noqa: BLE001 - one request's fault must not go unseen, nor end the others
            said = f"/.fly/api: a request failed: {reason(error)}"
            self._log("lab", said, machine_id=self._machine.machine_id, region=self._machine.region, level="error")

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        self._open += 1
        try:
            return await self._converse(reader, writer)
        finally:
            self._open -= 1

    async def _carry_out(self, action: str) -> None:
        if action == "suspend":
            await self._machine.suspend()
        elif action == "stop":
            await self._machine.stop()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """Answer one request, close the connection, and return what is to be done then."""
        action = "get"
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                method, path = await _request(reader)
                status, answer, action = self._answer(method, path)
                writer.write(_response(status, answer))
                await writer.drain()
        except (BadMessageError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # no HTTP, or nobody left to answer; TimeoutError is an OSError
        finally:
            writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        return action

    def _answer(self, method: str, path: str) -> tuple[int, dict[str, Any], str]:
        plan, state = self._machine.plan, self._machine.state
        try:
            action = action_of(method, path, plan.app_name, plan.machine_id)
            if action == "get":
                return 200, {"id": plan.machine_id, "state": state, "region": plan.region,
                             "private_ip": plan.private_ip}, action  # fmt: skip
            if state is not MachineState.STARTED:
                raise ApiError(412, f"machine is {state}; only a started one can {action}")  # noqa: TRY301
        except ApiError as error:
            return error.status, {"error": str(error)}, "get"
        return 200, {"ok": True}, action


async def _request(reader: asyncio.StreamReader) -> tuple[str, str]:
    """Read one request, its body too: unread bytes would reset the connection before the answer is read."""
    head = parse_request(await reader.readuntil(b"\r\n\r\n"))
    body = request_body(head)
    if body.framing is not Framing.LENGTH or body.length > _MOST_BODY_BYTES:
        raise BadMessageError("expected a short body with a length, or none")
    await reader.readexactly(body.length)
    return head.method.decode("latin-1"), head.target.decode("latin-1")


def _response(status: int, answer: dict[str, Any]) -> bytes:
    body = json.dumps(answer).encode() + b"\n"
    head = b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    return head % (status, _REASONS[status], len(body)) + body
