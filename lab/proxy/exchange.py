"""One request and its response, carried between a client and a Machine.

Rules (RFC 9110, RFC 9112):

- A request is sent again when the kept connection it went out on was dead, or when its Machine ended before a byte
  of response; but only if its method is idempotent (RFC 9110 section 9.2.2). Other methods, and bodies that are
  still on their way, always get a fresh connection, which cannot be a dead one.
- A response with `fly-replay` goes nowhere: the request is sent on to where it says (`lab.proxy.replays`).
- After the first byte of a response nothing is sent again; a response cut short must not look complete.
- 1xx responses go to HTTP/1.1 clients as they come (RFC 9110 section 15.2); 101 turns both connections raw.
- A response without a length becomes chunked for an HTTP/1.1 client; a chunked one loses its chunks for 1.0.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lab.proxy.bodies import LAST_CHUNK, BodyReader, chunk
from lab.proxy.errors import BadReplayError, BodyTooLongToRepeatError, MachineFaultError, ProxyError
from lab.proxy.head_reader import read_head
from lab.proxy.heads import (
    BadMessageError,
    Framing,
    parse_response,
    response_body,
    upgrade_asked,
    wants_keep_alive,
)
from lab.proxy.raw import pass_resets, splice
from lab.proxy.stamps import interim_bytes, response_bytes
from lab.proxy.websocket import WebSocket

if TYPE_CHECKING:
    from lab.proxy.at_once import Asked
    from lab.proxy.backend import Backend
    from lab.proxy.balance import Search
    from lab.proxy.choice import Wish
    from lab.proxy.heads import Body, RequestHead, ResponseHead
    from lab.proxy.link import Link
    from lab.proxy.places import Places
    from lab.proxy.stamps import Stamp
    from lab.proxy.upload import Upload
    from lab.proxy.upstream import Upstream, Upstreams

_MAX_INTERIM: Final = 64
_SWITCHING: Final = 101
_FIRST_FINAL: Final = 200
_NO_CONTENT: Final = 204
_REPLAY_IN_JSON: Final = [b"application/vnd.fly.replay+json"]


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


class DeadLinkError(ProxyError):
    """The connection to the Machine ended before the first byte of a response."""


@dataclass(frozen=True, slots=True)
class SentOn:
    """A Machine answered with `fly-replay`: the field's value, and who said it."""

    value: bytes
    machine: Backend


class Exchange:
    """One request on its way; `answering` is true once a byte of the final response went to the client."""

    def __init__(
        self,
        client: Link,
        head: RequestHead,
        upload: Upload,
        stamp: Stamp,
        limits: HttpLimits,
        asked: Asked | None = None,
    ) -> None:
        """Carry `head` and what follows it in `upload`; a Machine has got it already if it was `asked`."""
        self.answering = False
        self.upload = upload
        self._client = client
        self._head = head
        self._limits = limits
        self._stamp = stamp
        self._asked = asked
        self._more = b""
        self._upstream: Upstream

    async def run(self, places: Places, wish: Wish, replay_source: bytes = b"") -> bool | SentOn:
        """Carry the request and the response; return whether the client's connection can go on.

        Return a `SentOn` when the Machine wants the request to go elsewhere; the client has got nothing then.
        Raises `RequestFaultError`, or, for what the client did, `BadMessageError`, `LinkLostError` and
        `TimeoutError`.
        """
        search = places.search(wish)
        self._more = b"fly-replay-src: %b\r\n" % replay_source if replay_source else b""
        if self._asked is not None:
            self._upstream = self._asked.upstream
        else:
            self._upstream = await places.first(search, repeatable=self.upload.repeatable and self.upload.done)
        kept = False
        try:
            response = await self._ask_until_answered(places, search)
            if (value := replay_asked(response)) is not None:
                return SentOn(value, self._upstream.lease.backend)
            if response.status == _SWITCHING:
                await self._switch(response, places.upstreams)
                return False
            keep_client, kept = await self._deliver(response)
        finally:
            if not kept:
                self._upstream.end()
            if self.upload.under_way is not None:
                await self.upload.stop()
        places.keep(self._upstream)
        return keep_client

    async def _ask_until_answered(self, places: Places, search: Search) -> ResponseHead:
        while True:
            if self._asked is None:
                self.upload.begin(self._upstream.link, self._more + self._missed(search))
            try:
                return await self._answer(self._upstream.link)
            except DeadLinkError as error:
                fault = MachineFaultError(str(error))
                if not self.upload.repeatable:
                    raise fault from None
            await self.upload.stop()
            if not self._upstream.reused and not await self._machine_ended():
                raise fault
            if not self.upload.can_repeat:
                raise BodyTooLongToRepeatError
            if self._upstream.reused:
                self._upstream = await places.after_dead_link(self._upstream, search)
            else:
                self._upstream = await places.after_exit(self._upstream, search)

    def _missed(self, search: Search) -> bytes:
        """Return the header line for a Machine that was preferred and is not the one."""
        wanted = search.wish.machine_id
        if not wanted or wanted == self._upstream.lease.backend.machine_id:
            return b""
        return b"fly-preferred-instance-unavailable: %b\r\n" % wanted.encode("latin-1")

    async def _machine_ended(self) -> bool:
        try:
            async with asyncio.timeout(self._limits.gone_seconds):
                await self._upstream.lease.backend.exited()
        except TimeoutError:
            return False
        return True

    async def _answer(self, link: Link) -> ResponseHead:
        """Pass interim responses on, and return the final response's head."""
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
        raise self.upload.fault or fault

    async def _read_head(self, link: Link) -> bytes | None:
        """Wait for a head; while a request body is still on its way the Machine may take its time."""
        idle = self._limits.idle_seconds
        if self._asked is not None:
            idle = self._asked.until - asyncio.get_running_loop().time()
            self._asked = None
        if (rest := self.upload.under_way) is not None:
            reading = asyncio.ensure_future(read_head(link, None, self._limits.head_seconds))
            try:
                await asyncio.wait([reading, rest], return_when=asyncio.FIRST_COMPLETED)
                if reading.done():
                    return reading.result()
            finally:
                reading.cancel()
                await asyncio.wait([reading])
        return await read_head(link, idle, self._limits.head_seconds)

    async def _switch(self, response: ResponseHead, upstreams: Upstreams) -> None:
        protocol = upgrade_asked(response.minor, response.fields)
        if protocol is None or upgrade_asked(self._head.minor, self._head.fields) is None:
            raise MachineFaultError("101 without an upgrade that was asked for")
        self.answering = True
        lines = b"Connection: Upgrade\r\nUpgrade: %b\r\n" % protocol
        self._client.write(response_bytes(response, self._stamp, lines, keep_length=False))
        if protocol.lower() == b"websocket":
            await upstreams.carry(WebSocket(self._client, self._upstream), self._upstream)
        else:
            try:
                await splice(self._client, self._upstream)
            finally:
                pass_resets(self._client, self._upstream.link)

    async def _deliver(self, response: ResponseHead) -> tuple[bool, bool]:
        """Stream the response; return whether the client's and the Machine's connections can go on."""
        link = self._upstream.link
        try:
            body = response_body(response, self._head.method)
        except BadMessageError as error:
            raise MachineFaultError(f"invalid response: {error}") from error
        sized = body.framing is Framing.LENGTH
        keep_client = self._head.keep_alive and self.upload.done and bool(sized or self._head.minor)
        self.answering = True
        head = answer_head(self._head, response, self._stamp, sized=sized, keep_client=keep_client)
        await self._stream(head, body, chunked=not sized and bool(self._head.minor))
        reusable = (
            wants_keep_alive(response.minor, response.fields)
            and body.framing is not Framing.UNTIL_CLOSE
            and self.upload.done
            and link.quiet
        )
        return keep_client, reusable

    async def _stream(self, head: bytes, body: Body, *, chunked: bool) -> None:
        link, client = self._upstream.link, self._client
        reader = BodyReader(body)
        pending = head
        try:
            while True:
                payload = reader.feed(link.received)
                seen = len(link.received)
                if payload:
                    pending += chunk(payload) if chunked else payload
                if reader.done:
                    break
                if pending:
                    client.write(pending)
                    pending = b""
                    await client.drain(self._limits.idle_seconds)
                if not await link.more(self._limits.idle_seconds, seen):
                    _check_end(reader, link)
        except (BadMessageError, TimeoutError) as error:
            raise MachineFaultError(f"response cut short: {error}") from error
        client.write(pending + LAST_CHUNK if chunked else pending)
        await client.drain(self._limits.idle_seconds)


def replay_asked(response: ResponseHead) -> bytes | None:
    """Return where the Machine wants the request to be sent on to, as its `fly-replay` says."""
    values = response.fields.values(b"fly-replay")
    if values:
        return b";".join(values)
    if response.fields.values(b"content-type") == _REPLAY_IN_JSON:
        raise BadReplayError(f"the lab knows the header only, got a body of {_REPLAY_IN_JSON[0].decode()}")
    return None


def answer_head(request: RequestHead, response: ResponseHead, stamp: Stamp, *, sized: bool, keep_client: bool) -> bytes:
    """Return the head that the client gets; `sized` says that the body has a length."""
    lines = b"" if sized or not request.minor else b"Transfer-Encoding: chunked\r\n"
    if not keep_client:
        lines += b"Connection: close\r\n"
    elif not request.minor:
        lines += b"Connection: keep-alive\r\n"
    return response_bytes(response, stamp, lines, keep_length=sized and response.status != _NO_CONTENT)


def _check_end(reader: BodyReader, link: Link) -> None:
    if link.reset:
        raise BadMessageError("connection reset in the middle of a body")
    reader.end()
