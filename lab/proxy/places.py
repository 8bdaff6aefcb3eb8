"""Where the requests of one client connection go, and what is kept from one to the next.

Rules (docs/fly.md, "Proxy"): with `connections` concurrency a client's connection keeps its Machine, one connection
there, and the load; with `requests` each request finds a Machine, and connections to Machines are pooled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.proxy.balance import Search
from lab.proxy.choice import NO_WISH
from lab.proxy.errors import MachineExitedError
from lab.proxy.reach import BOUND_TO

if TYPE_CHECKING:
    from lab.proxy.choice import Wish
    from lab.proxy.upstream import Upstream, Upstreams
    from shell.flytoml import Service


class Places:
    """Where the requests of one client connection go, and the connection kept for the next one."""

    def __init__(self, upstreams: Upstreams, service: Service, service_port: int, region: str) -> None:
        """Find Machines of `service` through `upstreams`, for a client that reached the proxy in `region`."""
        self.upstreams = upstreams
        self.region = region
        self._service = service
        self._service_port = service_port
        self._route = upstreams.route(service)
        self._rules = self._route.rules(region)
        self._unmarked = self.search(NO_WISH)
        self._affine = service.concurrency.type == "connections"
        self._kept: Upstream | None = None

    def search(self, wish: Wish) -> Search:
        """Return a new search for one request."""
        return Search(self._route, self._service_port, self._rules, wish)

    def beside(self) -> Places:
        """Return the same Machines, with nothing kept of this connection's."""
        return Places(self.upstreams, self._service, self._service_port, self.region)

    def at_hand(self) -> Upstream | None:
        """Return an open connection for a repeatable request without a wish, if any; raise `NoCandidateError`."""
        if not self._affine:
            return self.upstreams.at_hand(self._unmarked)
        if self._kept is None or not self._kept.link.quiet:
            return None
        kept, self._kept = self._kept, None
        return kept

    async def first(self, search: Search, *, repeatable: bool) -> Upstream:
        """Return a connection for a request; a kept one only when the request is `repeatable`."""
        kept, self._kept = self._kept, None
        if kept is not None:
            if search.wish is not NO_WISH:
                kept.end()
            elif kept.link.quiet and repeatable:
                return kept
            elif (renewed := await self.upstreams.again(kept, search)) is not None:
                return renewed
        return await self.upstreams.obtain(search, pooled=repeatable and not self._affine)

    async def after_dead_link(self, dead: Upstream, search: Search) -> Upstream:
        """Return a fresh connection in place of a kept one that was dead."""
        renewed = await self.upstreams.again(dead, search)
        return renewed or await self.upstreams.obtain(search, pooled=False)

    async def after_exit(self, ended: Upstream, search: Search) -> Upstream:
        """Return a connection in place of one whose Machine has ended."""
        ended.link.close()
        error = MachineExitedError(BOUND_TO, self._service.internal_port)
        self.upstreams.fail(ended.lease, search, error)
        return await self.upstreams.obtain(search, pooled=False)

    def keep(self, upstream: Upstream) -> None:
        """Keep a connection that can carry another request."""
        if self._affine:
            upstream.reused = True
            self._kept = upstream
        else:
            backend, port = upstream.lease.backend, self._service.internal_port
            self.upstreams.pool.put(backend.machine_id, port, upstream.link)
            upstream.lease.release()

    def end(self) -> None:
        """Give back what is kept."""
        if self._kept is not None:
            self._kept.end()
