"""A WebSocket through the proxy: bytes both ways, and a goodbye before its Machine stops.

Rules (RFC 6455; docs/fly.md, "Sleep and wake"):

- Before a Machine is stopped or suspended, clients get a Close frame. Its code is not documented; 1001, "going
  away", is what RFC 6455 section 7.4.1 has for a server that goes down.
- A Close frame may stand between the frames of a message, never inside a frame (section 5.4). After it nothing
  more goes to the client (section 5.5.1), whose own Close frame still reaches the app.
"""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING, Final

from lab.proxy.raw import pass_resets, splice

if TYPE_CHECKING:
    from lab.proxy.link import Link
    from lab.proxy.upstream import Upstream

GOING_AWAY: Final = b"\x88\x02" + struct.pack("!H", 1001)
FAREWELL_SECONDS: Final = 2.0
"""How long a client may take to close after its Close frame."""

_SHORT, _TWO_BYTES, _EIGHT_BYTES = 2, 126, 127
_MASKED = 0x80


class FrameEnds:
    """Finds where frames end in the bytes of one direction."""

    def __init__(self) -> None:
        """Expect the first byte of a frame."""
        self._head = bytearray()
        self._left = 0

    @property
    def between(self) -> bool:
        """Whether a frame has just ended."""
        return not self._head and not self._left

    def take(self, data: bytes, *, to_end_of_frame: bool = False) -> int:
        """Follow `data` and return how many bytes were followed: all, or those to the end of the frame."""
        at = 0
        while at < len(data) and not (to_end_of_frame and self.between):
            if self._left:
                count = min(self._left, len(data) - at)
                self._left -= count
                at += count
            else:
                self._head.append(data[at])
                at += 1
                self._end_head()
        return at

    def _end_head(self) -> None:
        head = self._head
        if len(head) < _SHORT:
            return
        length, mask = head[1] & 0x7F, 4 if head[1] & _MASKED else 0
        extended = {_TWO_BYTES: 2, _EIGHT_BYTES: 8}.get(length, 0)
        if len(head) < _SHORT + extended:
            return
        if extended:
            length = int.from_bytes(head[_SHORT:], "big")
        self._left = length + mask
        head.clear()


class WebSocket:
    """One open WebSocket; `go_away` may be called at any time while it is carried."""

    def __init__(self, client: Link, upstream: Upstream) -> None:
        """Carry frames between `client` and a Machine."""
        self._client = client
        self._upstream = upstream
        self._ends = FrameEnds()
        self._leaving = False
        self._goodbye_said = asyncio.Event()

    async def carry(self) -> None:
        """Return when both sides have closed, or soon after a goodbye."""
        carrying = asyncio.ensure_future(splice(self._client, self._upstream, to_client=self._to_client))
        goodbye = asyncio.ensure_future(self._goodbye_said.wait())
        try:
            await asyncio.wait([carrying, goodbye], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait([carrying], timeout=FAREWELL_SECONDS)
        finally:
            carrying.cancel()
            goodbye.cancel()
            await asyncio.wait([carrying, goodbye])
            if not self._goodbye_said.is_set():
                pass_resets(self._client, self._upstream.link)
            if not carrying.cancelled():
                carrying.result()

    def go_away(self) -> None:
        """Tell the client that its Machine goes: now, or when the frame under way has ended.

        Once the Machine has closed its half, the client's is closed, too, and takes no more.
        """
        self._leaving = True
        if self._ends.between and not self._client.lost and not self._upstream.link.at_eof:
            self._client.write(self._to_client(b""))

    def _to_client(self, data: bytes) -> bytes:
        """Return what goes to the client for what the Machine sent."""
        if self._goodbye_said.is_set():
            return b""
        followed = self._ends.take(data, to_end_of_frame=self._leaving)
        if not (self._leaving and self._ends.between):
            return data
        self._goodbye_said.set()
        return data[:followed] + GOING_AWAY
