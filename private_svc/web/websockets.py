"""Open WebSockets end politely: when draining begins each is closed with 1001, "going away" (RFC 6455 section 7.4.1).

A WebSocket has no end of its own, so it would outlast the drain and be cut. 1001 tells the client that the server goes
away; a client that connects again wakes the Machine.
"""

from __future__ import annotations

import asyncio
from weakref import WeakSet

from aiohttp import WSCloseCode, web

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
        code, message = WSCloseCode.GOING_AWAY, b"the Machine is leaving"
        closings = (opened.close(code=code, message=message) for opened in list(self._opened))
        await asyncio.gather(*closings, return_exceptions=True)
