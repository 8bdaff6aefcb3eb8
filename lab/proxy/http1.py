"""The http handler: one client connection, its requests one after another, each carried to a Machine.

Rules (docs/fly.md, "Proxy"; RFC 9112):

- Requests on one connection are answered in order, one at a time (9.3.2).
- A message that breaks HTTP gets its status and the connection ends: what follows cannot be trusted (2.2).
- With `requests` concurrency the load is the request and connections to Machines are pooled. With `connections`
  the client's connection keeps its Machine, one connection there, and the load, until it closes.
- `force_https` answers 301, which breaks every Flycast client, as on Fly.
"""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from lab.proxy.at_once import AtOnce
from lab.proxy.bodies import BodyReader, CutShortError
from lab.proxy.errors import RequestFaultError
from lab.proxy.exchange import Exchange
from lab.proxy.head_reader import read_head
from lab.proxy.heads import EMPTY, BadMessageError, parse_request, request_body
from lab.proxy.link import LinkLostError
from lab.proxy.places import Places
from lab.proxy.routing_fields import wish_of
from lab.proxy.stamps import Caller, own_response
from lab.proxy.upload import Upload

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from lab.log import EventLog
    from lab.proxy.at_once import Asked
    from lab.proxy.exchange import HttpLimits
    from lab.proxy.heads import RequestHead
    from lab.proxy.link import Link
    from lab.proxy.replays import Replays
    from lab.proxy.stamps import Edge, Stamp
    from lab.proxy.upstream import Upstreams
    from shell.flytoml import Port, Service

_LINGER_BYTES = 1024 * 1024


class HttpHandler:
    """Serves HTTP/1 clients of one service port."""

    def __init__(
        self,
        upstreams: Upstreams,
        service: Service,
        port: Port,
        edge: Edge,
        region_of: Callable[[str], str],
        log: EventLog,
        rng: random.Random,
        limits: HttpLimits,
        replays: Replays,
    ) -> None:
        """Serve `service` at `edge`, whose region `region_of` tells by the client's address."""
        self.upstreams = upstreams
        self.replays = replays
        self.service = service
        self.force_https = port.force_https
        self.edge = edge
        self.region_of = region_of
        self.log = log
        self.rng = rng
        self.limits = limits

    async def handle(self, client: Link) -> None:
        """Serve one client connection until it closes."""
        conversation = _Conversation(self, client)
        try:
            while await conversation.serve_one():
                pass
        except (TimeoutError, LinkLostError, CutShortError):
            pass  # the client is gone, or has stopped in the middle of a message
        finally:
            conversation.end()


class _Conversation:
    """One client connection with what lasts from request to request."""

    def __init__(self, handler: HttpHandler, client: Link) -> None:
        self._handler = handler
        self._limits = handler.limits
        self._client = client
        client_ip = client.peer()[0]
        edge = replace(handler.edge, region=handler.region_of(client_ip))
        self._caller = Caller(edge, client_ip, handler.rng)
        self._places = Places(handler.upstreams, handler.service, edge.port, edge.region)
        self._at_once = AtOnce(
            client,
            self._places,
            self._caller,
            keep_alive_seconds=self._limits.keep_alive_seconds,
            answer_seconds=self._limits.idle_seconds,
        )
        self._idle_seconds = self._limits.head_seconds

    def end(self) -> None:
        """Give back what is kept."""
        self._at_once.end()
        self._places.end()

    async def serve_one(self) -> bool:
        """Serve requests to the end of one that takes more than its answer; return whether another may follow."""
        asked = None
        if not self._handler.force_https:
            asked = await self._at_once.until_more_is_needed(self._idle_seconds)
            if asked is not None:
                self._idle_seconds = self._limits.keep_alive_seconds
                return await self._carry(asked.head, BodyReader(EMPTY), b"", asked.stamp, asked)
        try:
            await self._client.drain(self._limits.idle_seconds)
            raw = await read_head(self._client, self._idle_seconds, self._limits.head_seconds)
            if raw is None:
                return False
            head = parse_request(raw)
            body = BodyReader(request_body(head))
            payload = body.feed(self._client.received)
        except BadMessageError as error:
            await self._answer(self._caller.stamp(), None, error.status, str(error))
            return False
        self._idle_seconds = self._limits.keep_alive_seconds
        stamp = self._caller.stamp()
        if self._handler.force_https:
            return await self._to_https(stamp, head, body)
        return await self._carry(head, body, payload, stamp, None)

    async def _carry(
        self, head: RequestHead, body: BodyReader, payload: bytes, stamp: Stamp, asked: Asked | None
    ) -> bool:
        """Carry one request to its answer; return whether another may follow."""
        upload = Upload(self._client, head, body, payload, stamp, self._limits.idle_seconds)
        exchange = Exchange(self._client, head, upload, stamp, self._limits, asked)
        try:
            keep = await self._handler.replays.run(exchange, self._places, wish_of(head.fields))
        except RequestFaultError as error:
            self._handler.log("proxy", str(error), level="error")
            if exchange.answering:
                self._client.abort()
                return False
            keep = await self._answer(stamp, head, error.status, str(error), body_read=body.done)
        except BadMessageError as error:
            if exchange.answering or isinstance(error, CutShortError):
                raise CutShortError(str(error)) from error
            keep = await self._answer(stamp, head, error.status, str(error))
        if not keep and not body.done:
            await self._linger()
        return keep

    async def _to_https(self, stamp: Stamp, head: RequestHead, body: BodyReader) -> bool:
        host = (head.fields.values(b"host") or [stamp.caller.edge.address.encode()])[0]
        path = b"/" if head.target == b"*" else head.target
        more = b"Location: https://%b%b\r\n" % (host.removesuffix(b":%d" % stamp.caller.edge.port), path)
        return await self._answer(stamp, head, 301, "this port asks for https", more=more, body_read=body.done)

    async def _answer(
        self,
        stamp: Stamp,
        head: RequestHead | None,
        status: int,
        text: str,
        *,
        more: bytes = b"",
        body_read: bool = False,
    ) -> bool:
        """Answer for ourselves; return whether the connection can go on."""
        keep = body_read and head is not None and head.minor == 1 and head.keep_alive
        if not keep:
            more += b"Connection: close\r\n"
        with_body = head is None or head.method != b"HEAD"
        reason = HTTPStatus(status).phrase
        self._client.write(own_response(stamp, status, reason, f"{text}\n", more=more, with_body=with_body))
        if not keep and not body_read:
            await self._linger()
        return keep

    async def _linger(self) -> None:
        """Take what the client still sends, so that it can read our answer before a reset (RFC 9112, 9.6)."""
        self._client.write_eof()
        taken = 0
        while taken < _LINGER_BYTES:
            taken += len(self._client.take(_LINGER_BYTES))
            if not await self._client.more(self._limits.linger_seconds):
                return
