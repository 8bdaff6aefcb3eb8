"""Connections to Machines: found through the balancer, woken, waited for, and kept for a while when idle."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from lab.proxy.errors import CandidateError, MachineExitedError
from lab.proxy.link import Link
from lab.proxy.reach import BOUND_TO
from lab.states import MachineState

if TYPE_CHECKING:
    from lab.log import EventLog
    from lab.proxy.backend import Backend
    from lab.proxy.balance import Balancer, Lease, Search, ServiceRoute
    from lab.proxy.reach import Reach
    from lab.proxy.websocket import WebSocket
    from shell.flytoml import Service

POOL_SECONDS: Final = 4.0
"""How long an idle connection is kept (docs/fly.md, "Proxy")."""

POOL_CONNECTIONS: Final = 64
"""How many idle connections are kept for one Machine and port."""


class Upstream:
    """One connection to a Machine with the load it stands for."""

    __slots__ = ("lease", "link", "reused")

    def __init__(self, lease: Lease, link: Link, *, reused: bool) -> None:
        self.lease = lease
        self.link = link
        self.reused = reused

    def end(self) -> None:
        """Close the connection and give the load back."""
        self.link.close()
        self.lease.release()


class Pool:
    """Idle connections to Machines; one that stirs or grows old is closed."""

    def __init__(self, keep_seconds: float = POOL_SECONDS) -> None:
        """Keep each idle connection for `keep_seconds`."""
        self._keep_seconds = keep_seconds
        self._idle: dict[tuple[str, int], dict[Link, float]] = {}
        self._sweep: asyncio.TimerHandle | None = None

    def put(self, machine_id: str, port: int, link: Link) -> None:
        """Keep an idle connection, or close it when there are enough."""
        idle = self._idle.setdefault((machine_id, port), {})
        if not link.open or len(idle) >= POOL_CONNECTIONS:
            link.close()
            return
        loop = asyncio.get_running_loop()
        idle[link] = loop.time() + self._keep_seconds
        link.on_change = partial(_drop, idle, link)
        if self._sweep is None:
            self._sweep = loop.call_at(idle[link], self._drop_old)

    def take(self, machine_id: str, port: int) -> Link | None:
        """Return the connection that was used last, if any is idle."""
        idle = self._idle.get((machine_id, port))
        if not idle:
            return None
        link, _ = idle.popitem()
        link.on_change = None
        return link

    def release(self, machine_id: str) -> None:
        """Close what is idle to one Machine."""
        for (kept_id, _), idle in self._idle.items():
            if kept_id == machine_id:
                for link in list(idle):
                    _drop(idle, link)

    def close(self) -> None:
        """Close everything."""
        for machine_id in {machine_id for machine_id, _ in self._idle}:
            self.release(machine_id)
        if self._sweep is not None:
            self._sweep.cancel()

    def _drop_old(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for idle in self._idle.values():
            for link in [link for link, until in idle.items() if until <= now]:
                _drop(idle, link)
        left = [until for idle in self._idle.values() for until in idle.values()]
        self._sweep = loop.call_at(min(left), self._drop_old) if left else None


def _drop(idle: dict[Link, float], link: Link) -> None:
    idle.pop(link, None)
    link.on_change = None
    link.close()


class Upstreams:
    """Opens or reuses connections for requests."""

    def __init__(self, balancer: Balancer, reach: Reach, pool: Pool, log: EventLog) -> None:
        """Combine where to go, how to get there, and what is open already."""
        self._balancer = balancer
        self._reach = reach
        self._log = log
        self._links: defaultdict[str, WeakSet[Link]] = defaultdict(WeakSet)
        self._sockets: defaultdict[str, set[WebSocket]] = defaultdict(set)
        self.pool = pool

    def release(self, machine_id: str) -> None:
        """Close idle connections to a Machine that is about to stop, and tell WebSockets that it goes."""
        self.pool.release(machine_id)
        for socket in self._sockets[machine_id]:
            socket.go_away()

    async def carry(self, socket: WebSocket, upstream: Upstream) -> None:
        """Carry a WebSocket, to be told when its Machine goes."""
        sockets = self._sockets[upstream.lease.backend.machine_id]
        sockets.add(socket)
        try:
            await socket.carry()
        finally:
            sockets.discard(socket)

    def cut(self, machine_id: str) -> None:
        """Drop every connection to a Machine that was suspended: nobody will answer there."""
        for link in list(self._links[machine_id]):
            link.cut()

    def route(self, service: Service) -> ServiceRoute:
        """Return what is known of one of the app's services."""
        return self._balancer.route(service)

    def at_hand(self, search: Search) -> Upstream | None:
        """Return an idle connection to the Machine that is to be used, if there is one; raise `NoCandidateError`."""
        lease = self._balancer.lease_now(search)
        if lease is None:
            return None
        link = None
        if not lease.cold:
            link = self.pool.take(lease.backend.machine_id, lease.route.service.internal_port)
        if link is None:
            lease.release()
            return None
        return Upstream(lease, link, reused=True)

    async def obtain(self, search: Search, *, pooled: bool) -> Upstream:
        """Return a connection to a Machine, waking one if need be; raise `NoCandidateError`.

        `pooled` allows an idle connection, which its peer may close at this very moment.
        """
        while True:
            lease = await self._balancer.lease(search)
            upstream = await self._try(lease, search, pooled=pooled)
            if upstream is not None:
                return upstream

    async def again(self, upstream: Upstream, search: Search) -> Upstream | None:
        """Return a fresh connection under the same lease, or None when this Machine sleeps or failed."""
        upstream.link.close()
        if upstream.lease.backend.state is not MachineState.STARTED:
            upstream.lease.release()
            return None
        return await self._try(upstream.lease, search, pooled=False)

    async def _try(self, lease: Lease, search: Search, *, pooled: bool) -> Upstream | None:
        backend, port = lease.backend, lease.route.service.internal_port
        try:
            if lease.cold:
                await self._balancer.wake(backend)
            link = self.pool.take(backend.machine_id, port) if pooled else None
            if link is not None:
                return Upstream(lease, link, reused=True)
            return Upstream(lease, await self._open(backend, port, cold=lease.cold), reused=False)
        except CandidateError as error:
            self.fail(lease, search, error)
            return None
        except BaseException:
            lease.release()
            raise

    async def _open(self, backend: Backend, port: int, *, cold: bool) -> Link:
        sock = await self._reach.connect(backend, port, cold=cold)
        _, link = await asyncio.get_running_loop().create_connection(Link, sock=sock)
        self._links[backend.machine_id].add(link)
        if backend.state is MachineState.SUSPENDED:  # its kernel accepts, its app does not
            link.abort()
            raise MachineExitedError(BOUND_TO, port)
        return link

    def fail(self, lease: Lease, search: Search, error: CandidateError) -> None:
        """Give the lease back and remember why this Machine was no good."""
        backend = lease.backend
        self._log("proxy", str(error), machine_id=backend.machine_id, region=backend.region, level="error")
        search.failed(backend.machine_id, error)
        lease.release()
