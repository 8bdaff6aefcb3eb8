"""Open WebSockets end politely: when draining begins each is closed with 1001, "going away" (RFC 6455 section 7.4.1).

A WebSocket has no end of its own, so it would outlast the drain and be cut. Every client knows what 1001 means: come
again, which wakes the Machine.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from weakref import WeakSet

from aiohttp import WSCloseCode, web

if TYPE_CHECKING:
    from collections.abc import Iterator


OPENED = web.RequestKey("opened", web.WebSocketResponse)


def is_over(request: web.BaseRequest) -> bool:
    """Return whether `request` opened a WebSocket on which a goodbye was said: nothing more can be written to it."""
    opened = request.get(OPENED)
    return opened is not None and opened.closed


class WebSockets:
    """Knows every WebSocket that was opened and is not gone."""

    def __init__(self) -> None:
        self._opened: WeakSet[web.WebSocketResponse] = WeakSet()

    def note(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Note a response that is about to be sent, if it opens a WebSocket."""
        if isinstance(response, web.WebSocketResponse):
            self._opened.add(response)
            request[OPENED] = response

    async def close(self, _: web.Application) -> None:
        """Close them all; for `on_shutdown`."""
        await asyncio.gather(*self._closing(), return_exceptions=True)

    def _closing(self) -> Iterator[asyncio.Task[bool]]:
        for opened in list(self._opened):
            yield asyncio.ensure_future(opened.close(code=WSCloseCode.GOING_AWAY, message=b"the Machine is leaving"))
