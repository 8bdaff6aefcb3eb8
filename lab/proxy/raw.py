"""Bytes both ways: the raw handler, and what follows a 101. Half-close is kept, a reset is passed on.

Rules (docs/fly.md, "Sleep and wake" and "Proxy"): the client is accepted first and held while a Machine wakes; load
counts per connection; on failure the client sees an accepted connection closed empty. An idle connection may be idle
for ever, as TCP allows; keep-alive probes end one whose peer is gone. With `proxy_proto` the Machine gets a PROXY
preface first.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from lab.proxy.balance import Search
from lab.proxy.errors import NoCandidateError
from lab.proxy.link import LinkLostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.log import EventLog
    from lab.proxy.link import Link
    from lab.proxy.upstream import Upstream, Upstreams
    from shell.flytoml import Port, Service

    Address = tuple[str, int]
    Preface = Callable[[Address, Address], bytes]


class RawHandler:
    """Carries connections to one service port without looking inside."""

    def __init__(
        self,
        upstreams: Upstreams,
        service: Service,
        port: Port,
        service_port: int,
        region_of: Callable[[str], str],
        log: EventLog,
    ) -> None:
        """Serve `service` on `service_port`, one of its entry `port`; `region_of` knows clients by their address."""
        self._upstreams = upstreams
        self._route = upstreams.route(service)
        self._service_port = service_port
        self._region_of = region_of
        self._log = log
        self._preface = _preface_of(port) if "proxy_proto" in port.handlers else None

    async def handle(self, client: Link) -> None:
        """Carry one connection until both sides have closed."""
        try:
            rules = self._route.rules(self._region_of(client.peer()[0]))
            search = Search(self._route, self._service_port, rules)
            upstream = await self._upstreams.obtain(search, pooled=False)
        except NoCandidateError as error:
            self._log("proxy", str(error), level="error")
            return
        try:
            if self._preface is not None and not upstream.link.lost:
                upstream.link.write(self._preface(client.peer(), client.local()))
            await splice(client, upstream)
        finally:
            pass_resets(client, upstream.link)
            upstream.end()


def _preface_of(port: Port) -> Preface:
    from lab.proxy.preface import preface  # noqa: PLC0415 - only who asks for it pays for the import

    return partial(preface, port.proxy_proto_version)


async def splice(client: Link, upstream: Upstream, *, to_client: Callable[[bytes], bytes] = bytes) -> None:
    """Carry bytes both ways until both sides have closed their half, one is lost, or the Machine has ended.

    `to_client` gets what the Machine sends and returns what the client is sent for it.
    """
    link = upstream.link
    up = asyncio.ensure_future(_pump(client, link, bytes))
    down = asyncio.ensure_future(_pump(link, client, to_client))
    tasks: list[asyncio.Future[None]] = [up, down]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if up.done() and not _failed(up):
            await asyncio.wait([down])
        elif down.done() and not _failed(down):  # the client may go on, for as long as somebody hears it
            tasks.append(asyncio.ensure_future(upstream.lease.backend.exited()))
            await asyncio.wait([up, tasks[-1]], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception) and not isinstance(outcome, LinkLostError):
                raise outcome


def pass_resets(client: Link, link: Link) -> None:
    """Let each side see that the other was reset."""
    if client.reset:
        link.abort()
    if link.reset:
        client.abort()


def _failed(pump: asyncio.Future[None]) -> bool:
    return pump.cancelled() or pump.exception() is not None


async def _pump(source: Link, sink: Link, through: Callable[[bytes], bytes]) -> None:
    while True:
        if source.received:
            sink.write(through(source.take(len(source.received))))
            await sink.drain(None)
        elif not await source.more(None):
            break
    if source.reset:
        raise LinkLostError("the peer reset the connection")
    sink.write_eof()
