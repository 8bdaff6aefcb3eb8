"""The proxy of one app: its listeners, its load, and an end that leaves nothing behind."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from lab.errors import reason
from lab.proxy.balance import Balancer
from lab.proxy.errors import ProxyError
from lab.proxy.exchange import HttpLimits
from lab.proxy.http1 import HttpHandler
from lab.proxy.link import Link
from lab.proxy.places import Places
from lab.proxy.raw import RawHandler
from lab.proxy.reach import Patience, Reach
from lab.proxy.replays import Replays
from lab.proxy.stamps import Edge
from lab.proxy.upstream import Pool, Upstreams

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence

    from lab.log import EventLog
    from lab.proxy.backend import Backend
    from lab.proxy.replays import OtherApp
    from shell.flytoml import Port, Service

_BACKLOG = 4096
_HANDLERS = frozenset({"http", "proxy_proto"})


class Handler(Protocol):
    """Serves one accepted connection; the caller closes it."""

    async def handle(self, client: Link) -> None:
        """Return when the connection is done."""


class AppProxy:
    """Everything Fly Proxy does for one app."""

    def __init__(
        self,
        app_name: str,
        services: Sequence[Service],
        backends: Sequence[Backend],
        *,
        region: str,
        log: EventLog,
        regions: Mapping[str, str] = MappingProxyType({}),
        network: Mapping[str, OtherApp] = MappingProxyType({}),
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
        patience: Patience | None = None,
        limits: HttpLimits | None = None,
    ) -> None:
        """Serve `services` on `backends`; nothing listens yet.

        `regions` has, by address, where clients reach the proxy; `region` is where all others do. `network` has,
        by name, every app that `fly-replay` may send a request on to.
        """
        self._app_name = app_name
        self._services = services
        self._network = network
        self._region = region
        self._regions = regions
        self._log = log
        self._rng = rng or random.Random()  # noqa: S311 - breaks ties and makes ids, keeps no secret
        self._limits = limits or HttpLimits()
        self._server_field = f"Fly/lab ({datetime.now(UTC):%Y-%m-%d})".encode()
        patience = patience or Patience()
        self._balancer = Balancer(services, backends, self._rng, patience, log)
        self._upstreams = Upstreams(self._balancer, Reach(log, clock, patience), Pool(), log)
        self._listeners: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        """Show the app and how much is going on."""
        return f"<AppProxy {self._app_name}: {len(self._listeners)} listeners, {len(self._tasks)} connections>"

    async def serve(self, listening_socket: socket.socket, service: Service, port: Port) -> None:
        """Accept clients of `service` on a bound socket; raise `ProxyError` for a handler unknown here."""
        unknown = sorted(set(port.handlers) - _HANDLERS)
        if unknown:
            raise ProxyError(
                f"port {port.start_port} of app {self._app_name}: expected no handler, `http` or `proxy_proto`, "
                f"got {', '.join(unknown)}; remove it, or do not serve this port in the lab"
            )
        handler = self._handler(listening_socket, service, port)
        server = await asyncio.get_running_loop().create_server(
            lambda: Link(on_made=lambda link: self._accepted(link, handler)),
            sock=listening_socket,
            backlog=_BACKLOG,
        )
        self._listeners.append(server)

    def load(self, machine_id: str, service: Service | None = None) -> int:
        """Return the load on one Machine, reservations included: of one service, or of all together."""
        return self._balancer.load(machine_id, service)

    def release(self, machine_id: str) -> None:
        """Close idle connections to a Machine that is about to stop, and tell WebSockets that it goes."""
        self._upstreams.release(machine_id)

    def cut(self, machine_id: str) -> None:
        """Drop every connection to a Machine that was suspended."""
        self._upstreams.cut(machine_id)

    def http_places(self, service_port: int, region: str) -> Places | None:
        """Return the Machines of the http service on that port, if there is one, for a client in `region`."""
        for service in self._services:
            for port in service.ports:
                if "http" in port.handlers and port.start_port <= service_port <= port.end_port:
                    return Places(self._upstreams, service, service_port, region)
        return None

    async def close(self) -> None:
        """Stop accepting, drop every connection, and return when nothing is left."""
        for server in self._listeners:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._balancer.close()
        self._upstreams.pool.close()
        await asyncio.sleep(0)  # transports close their sockets in the next turn of the loop

    def _handler(self, listening_socket: socket.socket, service: Service, port: Port) -> Handler:
        address, bound_port, *_ = listening_socket.getsockname()
        if "http" not in port.handlers:
            return RawHandler(self._upstreams, service, port, bound_port, self._region_of, self._log)
        edge = Edge("", address, bound_port, self._server_field)
        replays = Replays(self._app_name, port.start_port, self._network)
        return HttpHandler(
            self._upstreams, service, port, edge, self._region_of, self._log, self._rng, self._limits, replays
        )

    def _region_of(self, client_ip: str) -> str:
        return self._regions.get(client_ip, self._region)

    def _accepted(self, client: Link, handler: Handler) -> None:
        task = asyncio.get_running_loop().create_task(self._serve_client(client, handler))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

        def end_when_lost() -> None:
            if client.lost:
                task.cancel()

        client.on_change = end_when_lost

    async def _serve_client(self, client: Link, handler: Handler) -> None:
        try:
            await handler.handle(client)
        except Exception as error:  # noqa: BLE001 - one connection's fault must not end the others
            self._log("proxy", f"connection failed: {reason(error)}", level="error")
            client.abort()
        finally:
            client.close()
