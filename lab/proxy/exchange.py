"""One request and its response, carried between a client and a Machine.

Rules (RFC 9110, RFC 9112):

- A request whose body is here before it is sent can be sent again. It is, when the kept connection it went out
  on was dead, or when its Machine ended before a byte of response; but only if its method is idempotent
  (RFC 9110 section 9.2.2). Other methods always get a fresh connection, which cannot be a dead one.
- After the first byte of a response nothing is sent again; a response cut short must not look complete.
- 1xx responses go to HTTP/1.1 clients as they come (RFC 9110 section 15.2); 101 turns both connections raw.
- A response without a length becomes chunked for an HTTP/1.1 client; a chunked one loses its chunks for 1.0.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lab.proxy.bodies import BodyReader, chunk, last_chunk
from lab.proxy.errors import MachineExitedError, ProxyError, incomplete
from lab.proxy.head_reader import read_head
from lab.proxy.heads import (
    BadMessageError,
    Framing,
    parse_response,
    response_body,
    upgrade_asked,
    wants_keep_alive,
)
from lab.proxy.link import LinkLostError
from lab.proxy.raw import splice
from lab.proxy.reach import BOUND_TO
from lab.proxy.stamps import interim_bytes, request_bytes, response_bytes

if TYPE_CHECKING:
    from lab.proxy.balance import Search
    from lab.proxy.heads import Body, RequestHead, ResponseHead
    from lab.proxy.link import Link
    from lab.proxy.stamps import Stamp
    from lab.proxy.upstream import Upstream, Upstreams
    from shell.flytoml import Service

_IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
_MAX_INTERIM: Final = 64
_SWITCHING: Final = 101
_FIRST_FINAL: Final = 200
_NO_CONTENT: Final = 204


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Deadlines of the http handler, in seconds.

    `idle_seconds` is how long either side may say nothing in the middle of an exchange (Fly's `idle_timeout`
    is 60 s); `gone_seconds` is how soon after a broken answer the end of the Machine's process explains it.
    """

    head_seconds: float = 60.0
    keep_alive_seconds: float = 60.0
    idle_seconds: float = 60.0
    gone_seconds: float = 0.25
    linger_seconds: float = 2.0


class MachineFaultError(ProxyError):
    """The Machine did not answer as HTTP asks; `status` is what the client gets."""

    def __init__(self, reason: str, status: int = 502) -> None:
        super().__init__(incomplete(reason))
        self.status = status


class DeadLinkError(ProxyError):
    """The connection to the Machine ended before the first byte of a response."""


class Places:
    """Where the requests of one client connection go, and the connection kept for the next one."""

    def __init__(self, upstreams: Upstreams, service: Service, service_port: int) -> None:
        """Find Machines of `service` through `upstreams`."""
        self._upstreams = upstreams
        self._service = service
        self._service_port = service_port
        self._affine = service.concurrency.type == "connections"
        self._kept: Upstream | None = None

    def search(self) -> Search:
        """Return a new search for one request."""
        return self._upstreams.search(self._service, self._service_port)

    async def first(self, search: Search, *, replayable: bool) -> Upstream:
        """Return a connection for a request; a kept one only when the request is `replayable`."""
        kept, self._kept = self._kept, None
        if kept is not None:
            if kept.link.open and replayable:
                return kept
            renewed = await self._upstreams.again(kept, search)
            if renewed is not None:
                return renewed
        return await self._upstreams.obtain(search, pooled=replayable and not self._affine)

    async def after_dead_link(self, dead: Upstream, search: Search) -> Upstream:
        """Return a fresh connection in place of a kept one that was dead."""
        renewed = await self._upstreams.again(dead, search)
        return renewed or await self._upstreams.obtain(search, pooled=False)

    async def after_exit(self, ended: Upstream, search: Search) -> Upstream:
        """Return a connection in place of one whose Machine has ended."""
        ended.link.close()
        error = MachineExitedError(BOUND_TO, self._service.internal_port)
        self._upstreams.fail(ended.lease, search, error)
        return await self._upstreams.obtain(search, pooled=False)

    def keep(self, upstream: Upstream) -> None:
        """Keep a connection that can carry another request."""
        if self._affine:
            upstream.reused = True
            self._kept = upstream
        else:
            backend, port = upstream.lease.backend, self._service.internal_port
            self._upstreams.pool.put(backend.machine_id, port, upstream.link)
            upstream.lease.release()

    def end(self) -> None:
        """Give back what is kept."""
        if self._kept is not None:
            self._kept.end()


class Exchange:
    """One request on its way; `answering` is true once a byte of the final response went to the client."""

    def __init__(
        self,
        client: Link,
        head: RequestHead,
        body: BodyReader,
        payload: bytes,
        stamp: Stamp,
        limits: HttpLimits,
    ) -> None:
        """Carry `head` and its `body`, of which `payload` was read already."""
        self.answering = False
        self._client = client
        self._head = head
        self._body = body
        self._limits = limits
        self._stamp = stamp
        self._replayable = body.done and head.method in _IDEMPOTENT
        self._chunked = bool(head.fields.values(b"transfer-encoding"))
        self._message = request_bytes(head, stamp) + self._encode(payload)
        self._upload: asyncio.Task[None] | None = None
        self._client_fault: Exception | None = None
        self._upstream: Upstream

    async def run(self, places: Places) -> bool:
        """Carry the request and the response; return whether the client's connection can go on.

        Raises `NoCandidateError`, `MachineFaultError`, or, for what the client did, `BadMessageError`,
        `LinkLostError` and `TimeoutError`.
        """
        search = places.search()
        self._upstream = await places.first(search, replayable=self._replayable)
        kept = False
        try:
            response = await self._ask_until_answered(places, search)
            if response.status == _SWITCHING:
                await self._switch(response)
                return False
            keep_client, kept = await self._deliver(response)
        finally:
            if self._upload is not None:
                self._upload.cancel()
            if not kept:
                self._upstream.end()
        places.keep(self._upstream)
        return keep_client

    async def _ask_until_answered(self, places: Places, search: Search) -> ResponseHead:
        while True:
            try:
                return await self._ask(self._upstream.link)
            except DeadLinkError as error:
                fault = MachineFaultError(str(error))
                if not self._replayable:
                    raise fault from None
            if self._upstream.reused:
                self._upstream = await places.after_dead_link(self._upstream, search)
            elif await self._machine_ended():
                self._upstream = await places.after_exit(self._upstream, search)
            else:
                raise fault

    async def _machine_ended(self) -> bool:
        try:
            async with asyncio.timeout(self._limits.gone_seconds):
                await self._upstream.lease.backend.exited()
        except TimeoutError:
            return False
        return True

    async def _ask(self, link: Link) -> ResponseHead:
        """Send the request, pass interim responses on, and return the final response's head."""
        if not link.lost:  # a Machine may have answered and closed before it was asked
            link.write(self._message)
        if not self._body.done:
            self._upload = asyncio.get_running_loop().create_task(self._send_rest(link))
        for _ in range(_MAX_INTERIM):
            response = await self._next_head(link)
            if response.status >= _FIRST_FINAL or response.status == _SWITCHING:
                return response
            if self._head.minor:
                self._client.write(interim_bytes(response))
        raise MachineFaultError(f"more than {_MAX_INTERIM} interim responses")

    async def _next_head(self, link: Link) -> ResponseHead:
        fault: ProxyError
        try:
            raw = await self._read_head(link)
            response = None if raw is None else parse_response(raw)
        except TimeoutError:
            fault = MachineFaultError(f"no response within {self._limits.idle_seconds:g} s", 504)
        except BadMessageError as error:
            fault = MachineFaultError(f"invalid response: {error}")
        else:
            if response is not None:
                return response
            fault = DeadLinkError("connection closed before message completed")
        raise self._client_fault or fault

    async def _read_head(self, link: Link) -> bytes | None:
        """Wait for a head; while a request body is still on its way the Machine may take its time."""
        idle = self._limits.idle_seconds
        if self._upload is not None and not self._upload.done():
            reading = asyncio.ensure_future(read_head(link, None, self._limits.head_seconds))
            try:
                await asyncio.wait([reading, self._upload], return_when=asyncio.FIRST_COMPLETED)
                if reading.done():
                    return reading.result()
            finally:
                reading.cancel()
                await asyncio.wait([reading])
        return await read_head(link, idle, self._limits.head_seconds)

    async def _send_rest(self, link: Link) -> None:
        """Stream the rest of the request's body; what the client does wrong ends the exchange."""
        client, idle = self._client, self._limits.idle_seconds
        try:
            while not self._body.done:
                if not client.received and not await client.more(idle):
                    self._body.end()
                if encoded := self._encode(self._body.feed(client.received)):
                    link.write(encoded)
                    await link.drain(idle)
        except LinkLostError:
            pass  # the Machine does not want the rest; its answer, if it gave one, is read all the same
        except (BadMessageError, TimeoutError) as error:
            self._client_fault = error
            link.abort()

    def _encode(self, payload: bytes) -> bytes:
        if not self._chunked:
            return payload
        encoded = chunk(payload) if payload else b""
        return encoded + last_chunk(self._body.trailers) if self._body.done else encoded

    async def _switch(self, response: ResponseHead) -> None:
        protocol = upgrade_asked(response.minor, response.fields)
        if protocol is None or upgrade_asked(self._head.minor, self._head.fields) is None:
            raise MachineFaultError("101 without an upgrade that was asked for")
        self.answering = True
        lines = b"Connection: Upgrade\r\nUpgrade: %b\r\n" % protocol
        self._client.write(response_bytes(response, self._stamp, lines, keep_length=False))
        await splice(self._client, self._upstream.link)

    async def _deliver(self, response: ResponseHead) -> tuple[bool, bool]:
        """Stream the response; return whether the client's and the Machine's connections can go on."""
        link = self._upstream.link
        try:
            body = response_body(response, self._head.method)
        except BadMessageError as error:
            raise MachineFaultError(f"invalid response: {error}") from error
        sized = body.framing is Framing.LENGTH
        keep_client = self._head.keep_alive and self._body.done and bool(sized or self._head.minor)
        self.answering = True
        keep_length = sized and response.status != _NO_CONTENT
        lines = self._framing_lines(sized=sized, keep_client=keep_client)
        head = response_bytes(response, self._stamp, lines, keep_length=keep_length)
        await self._stream(head, body, chunked=not sized and bool(self._head.minor))
        reusable = (
            wants_keep_alive(response.minor, response.fields)
            and body.framing is not Framing.UNTIL_CLOSE
            and self._body.done
            and not link.received
            and link.open
        )
        return keep_client, reusable

    def _framing_lines(self, *, sized: bool, keep_client: bool) -> bytes:
        lines = b"Transfer-Encoding: chunked\r\n" if not sized and self._head.minor else b""
        if not keep_client:
            return lines + b"Connection: close\r\n"
        return lines if self._head.minor else lines + b"Connection: keep-alive\r\n"

    async def _stream(self, head: bytes, body: Body, *, chunked: bool) -> None:
        link, client = self._upstream.link, self._client
        reader = BodyReader(body)
        pending = head
        try:
            while True:
                payload = reader.feed(link.received)
                if payload:
                    pending += chunk(payload) if chunked else payload
                if reader.done:
                    break
                if pending:
                    client.write(pending)
                    pending = b""
                    await client.drain(self._limits.idle_seconds)
                if not await link.more(self._limits.idle_seconds):
                    _check_end(reader, link)
        except (BadMessageError, TimeoutError) as error:
            raise MachineFaultError(f"response cut short: {error}") from error
        client.write(pending + last_chunk(reader.trailers) if chunked else pending)
        await client.drain(self._limits.idle_seconds)


def _check_end(reader: BodyReader, link: Link) -> None:
    if link.reset:
        raise BadMessageError("connection reset in the middle of a body")
    reader.end()
