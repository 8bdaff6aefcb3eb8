"""A request on its way to a Machine, kept so that it can be sent again.

Rules (docs/fly.md, "Proxy": PA01, 10 MB for a retry, 1 MB for a replay):

- What was passed on of a body is kept while it is short enough: a repeatable request's up to 10 MB, because it may
  be sent again when its Machine ends; any other's up to 1 MB, because `fly-replay` may send it on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from lab.proxy.bodies import LAST_CHUNK, chunk
from lab.proxy.link import LinkLostError
from lab.proxy.stamps import request_bytes

if TYPE_CHECKING:
    from lab.proxy.bodies import BodyReader
    from lab.proxy.heads import RequestHead
    from lab.proxy.link import Link
    from lab.proxy.stamps import Stamp

RETRY_BYTES: Final = 10_000_000
REPLAY_BYTES: Final = 1_000_000
IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})


class Upload:
    """One request's head and body; `fault` is what its client did wrong while the body was passed on."""

    def __init__(
        self, client: Link, head: RequestHead, body: BodyReader, payload: bytes, stamp: Stamp, idle_seconds: float
    ) -> None:
        """Send `head` and its `body`, of which `payload` was read already."""
        self.fault: Exception | None = None
        self.repeatable = head.method in IDEMPOTENT
        self._client = client
        self._head = head
        self._body = body
        self._stamp = stamp
        self._idle_seconds = idle_seconds
        self._chunked = bool(head.fields.values(b"transfer-encoding"))
        self._most_kept = RETRY_BYTES if self.repeatable else REPLAY_BYTES
        self._kept: bytearray | None = bytearray(self._encode(payload))
        self._rest: asyncio.Task[None] | None = None

    @property
    def done(self) -> bool:
        """Whether the client has sent all of the body."""
        return self._body.done

    @property
    def under_way(self) -> asyncio.Task[None] | None:
        """The task that passes the rest of the body on, while it does."""
        return None if self._rest is None or self._rest.done() else self._rest

    @property
    def can_repeat(self) -> bool:
        """Whether all that was passed on is still here."""
        return self._kept is not None

    @property
    def can_replay(self) -> bool:
        """Whether it is short enough to be sent on elsewhere, as far as is known."""
        lengths = self._head.fields.values(b"content-length")
        known = int(lengths[0]) if lengths else 0
        return self._kept is not None and max(known, len(self._kept)) <= REPLAY_BYTES

    def begin(self, link: Link, more: bytes) -> None:
        """Send the head, with the header lines `more`, and the body as far as it is here; the rest follows."""
        if not link.lost:  # a Machine may have answered and closed before it was asked
            link.write(request_bytes(self._head, self._stamp, more) + (self._kept or b""))
        if not self._body.done:
            self._rest = asyncio.get_running_loop().create_task(self._send_rest(link))

    async def stop(self) -> None:
        """Pass no more on, and leave the client's connection to others."""
        if self._rest is not None and not self._rest.done():
            self._rest.cancel()
            await asyncio.wait([self._rest])

    async def _send_rest(self, link: Link) -> None:
        """Stream the rest of the body; what the client does wrong ends the exchange."""
        client, idle = self._client, self._idle_seconds
        try:
            seen = 0
            while not self._body.done:
                if not await client.more(idle, seen):
                    self._body.end()
                encoded = self._encode(self._body.feed(client.received))
                seen = len(client.received)
                if encoded:
                    self._keep(encoded)
                    link.write(encoded)
                    await link.drain(idle)
        except LinkLostError:
            pass  # the Machine does not want the rest; its answer, if it gave one, is read all the same
        except Exception as error:  # noqa: BLE001 - the exchange, which waits for an answer, raises it
            self.fault = error
            link.abort()

    def _keep(self, encoded: bytes) -> None:
        if self._kept is None:
            return
        self._kept += encoded
        if len(self._kept) > self._most_kept:
            self._kept = None

    def _encode(self, payload: bytes) -> bytes:
        if not self._chunked:
            return payload
        encoded = chunk(payload) if payload else b""
        return encoded + LAST_CHUNK if self._body.done else encoded
