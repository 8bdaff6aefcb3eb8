"""Bytes both ways: the raw handler, and what follows a 101. Half-close is kept, a reset is passed on.

Rules (FLY_FACTS section 5): the client is accepted first and held while a Machine wakes; load counts per
connection; on failure the client sees an accepted connection closed empty. An idle connection may be idle for
ever, as TCP allows; keep-alive probes end one whose peer is gone. With `proxy_proto` the Machine gets a PROXY
preface first.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from lab.proxy.errors import NoCandidateError
from lab.proxy.link import LinkLostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.log import EventLog
    from lab.proxy.link import Link
    from lab.proxy.upstream import Upstreams
    from shell.flytoml import Port, Service

    Address = tuple[str, int]
    Preface = Callable[[Address, Address], bytes]


class RawHandler:
    """Carries connections to one service port without looking inside."""

    def __init__(self, upstreams: Upstreams, service: Service, port: Port, service_port: int, log: EventLog) -> None:
        """Serve `service` on `service_port`, one of its entry `port`."""
        self._upstreams = upstreams
        self._service = service
        self._service_port = service_port
        self._log = log
        self._preface = _preface_of(port) if "proxy_proto" in port.handlers else None

    async def handle(self, client: Link) -> None:
        """Carry one connection until both sides have closed."""
        try:
            search = self._upstreams.search(self._service, self._service_port)
            upstream = await self._upstreams.obtain(search, pooled=False)
        except NoCandidateError as error:
            self._log("proxy", str(error), level="error")
            return
        try:
            if self._preface is not None and not upstream.link.lost:
                upstream.link.write(self._preface(client.peer(), client.local()))
            await splice(client, upstream.link)
        finally:
            upstream.end()


def _preface_of(port: Port) -> Preface:
    from lab.proxy.preface import preface  # noqa: PLC0415 - only who asks for it pays for the import

    return partial(preface, port.proxy_proto_version)


async def splice(one: Link, other: Link) -> None:
    """Carry bytes both ways until both sides have closed their half or one is lost."""
    pumps = [asyncio.ensure_future(_pump(one, other)), asyncio.ensure_future(_pump(other, one))]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for pump in pumps:
            pump.cancel()
        if one.reset:
            other.abort()
        if other.reset:
            one.abort()
        await asyncio.gather(*pumps, return_exceptions=True)


async def _pump(source: Link, sink: Link) -> None:
    while True:
        if source.received:
            sink.write(source.take(len(source.received)))
            await sink.drain(None)
        elif not await source.more(None):
            break
    if source.reset:
        raise LinkLostError("the peer reset the connection")
    sink.write_eof()
