"""Suspend this Machine through its own API, the Unix socket /.fly/api.

Source: docs/fly.md, "Machines API" and "Sleep and wake". The socket belongs to root and may refuse anybody else; it
needs no token. Fly suspends Machines of up to 2 GB, without swap.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import TYPE_CHECKING

from private_svc import logs
from private_svc.awake import STEP_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from private_svc.activity import Activity
    from private_svc.machine import Machine

SOCKET = "/.fly/api"
ANSWER_SECONDS = 10.0
ANSWER_AT_MOST = 500  # characters of the API's own words that are passed on


class SuspendError(Exception):
    """The Machine cannot be suspended; the message says why."""


class Suspender:
    """Asks for the suspension of one Machine."""

    def __init__(
        self,
        machine: Machine,
        socket_path: str = SOCKET,
        answer_seconds: float = ANSWER_SECONDS,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.failure = ""  # why the last suspension did not come about
        self._path = f"/v1/apps/{machine.app_name}/machines/{machine.machine_id}/suspend"
        self._socket_path = socket_path
        self._answer_seconds = answer_seconds
        self._wall_clock = wall_clock

    async def check(self) -> None:
        """Raise `SuspendError` unless the API takes connections from us."""
        try:
            _, writer = await asyncio.wait_for(asyncio.open_unix_connection(self._socket_path), self._answer_seconds)
        except FileNotFoundError as error:
            raise SuspendError(
                f"there is no {self._socket_path} here: only a Machine on Fly can be suspended"
            ) from error
        except PermissionError as error:
            raise SuspendError(
                f"{self._socket_path} belongs to root, and this process is user {os.getuid()}: run it as root, "
                'or let Fly Proxy do it (auto_stop_machines = "suspend")'
            ) from error
        except TimeoutError as error:
            raise SuspendError(f"{self._socket_path} took no connection within {self._answer_seconds:g} s") from error
        except OSError as error:
            raise SuspendError(f"{self._socket_path} takes no connection: {error.strerror or error}") from error
        writer.close()

    async def suspend_when_quiet(self, activity: Activity, wait_seconds: float, reason: str) -> None:
        """Suspend once nobody waits for an answer, or after `wait_seconds`; a failure is logged and kept."""
        self.failure = ""
        try:
            async with asyncio.timeout(wait_seconds):
                await activity.quiet.wait()
        except TimeoutError:
            logs.event("suspending with requests in flight", level=logging.WARNING, in_flight=activity.working)
        logs.event("suspending", reason=reason)
        asked_s = self._wall_clock()
        try:
            await self.check()
            await self._ask()
        except SuspendError as error:
            if self._wall_clock() - asked_s > self._answer_seconds + STEP_SECONDS:
                return  # we were suspended before the answer came, and the connection died meanwhile
            self.failure = str(error)
            logs.event("not suspended", level=logging.ERROR, why=self.failure)

    async def _ask(self) -> None:
        """Ask for it; return once it is granted, which may be only after the resume; raise `SuspendError`."""
        from aiohttp import ClientError, ClientSession, ClientTimeout, UnixConnector  # noqa: PLC0415 - loaded already

        timeout = ClientTimeout(total=self._answer_seconds)
        try:
            async with (
                ClientSession(connector=UnixConnector(self._socket_path), timeout=timeout) as session,
                session.post(f"http://flaps{self._path}") as response,
            ):
                if not response.ok:
                    said = (await response.content.read(ANSWER_AT_MOST)).decode(errors="replace")
                    raise SuspendError(f"the Machine's API answered {response.status}: {said.strip()}")
        except TimeoutError as error:
            raise SuspendError(f"{self._socket_path} gave no answer within {self._answer_seconds:g} s") from error
        except (ClientError, OSError) as error:
            why = str(error)[:ANSWER_AT_MOST] or type(error).__name__
            raise SuspendError(f"{self._socket_path}: {why}") from error
