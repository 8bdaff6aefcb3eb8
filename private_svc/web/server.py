"""The admin side as one thing to start and drain: guard, application, aiohttp's runner, connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from private_svc import __version__
from private_svc.web import panel
from private_svc.web.application import application
from private_svc.web.connections import Connections
from private_svc.web.guard import Guard

if TYPE_CHECKING:
    import asyncio
    import socket

    from private_svc.activity import Activity
    from private_svc.boot import Boot
    from private_svc.ingress import Caller, Classifier
    from private_svc.listeners import Listener
    from private_svc.machine import Machine

CUT_SECONDS = 0.1  # for a cancelled request to notice
NEVER_SECONDS = 24 * 3600.0  # our own deadline on headers closes idle connections long before aiohttp would


class Admin:
    """The admin listener, answered."""

    def __init__(
        self,
        who: Classifier,
        activity: Activity,
        boot: Boot,
        machine: Machine,
        listeners: tuple[Listener, ...],
        *,
        private_only: bool,
    ) -> None:
        self._activity = activity
        self._boot = boot
        self._machine = machine
        self._bound = tuple(panel.Bound(each.name, each.address, each.reach) for each in listeners)
        self._guard = Guard(who, activity, boot, machine.machine_id, private_only=private_only)
        self._runner = web.AppRunner(
            application(self._guard, self._look),
            access_log=None,
            keepalive_timeout=NEVER_SECONDS,
            shutdown_timeout=CUT_SECONDS,
        )
        self._connections: Connections | None = None

    async def start(self, loop: asyncio.AbstractEventLoop, listening: socket.socket) -> None:
        """Begin to answer."""
        await self._runner.setup()
        server = self._runner.server
        if server is None:
            raise RuntimeError("expected a server after AppRunner.setup(), got None")
        self._connections = Connections(loop, listening, server, self._activity, self._boot)
        self._connections.start()

    async def drain(self, seconds: float) -> int:
        """Answer what has arrived, welcome nothing new; return how many connections were cut after `seconds`."""
        self._guard.draining = True
        cut = await self._connections.drain(seconds) if self._connections is not None else 0
        await self._runner.cleanup()
        return cut

    def _look(self, caller: Caller) -> panel.Status:
        return panel.Status(
            version=__version__,
            machine=self._machine,
            you=caller,
            listeners=self._bound,
            uptime_ms=round(self._boot.age_ms(), 1),
            boot_ms={phase: round(ms, 1) for phase, ms in self._boot.phases_ms.items()},
            requests={ingress.value: count for ingress, count in self._activity.requests.items()},
            hellos={ingress.value: count for ingress, count in self._activity.hellos.items()},
            refused=self._activity.refused,
            open=panel.Open(self._activity.admin_connections, self._activity.hello_connections),
            draining=self._guard.draining,
        )
