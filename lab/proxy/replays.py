"""Sending a request on, again and again, to where the `fly-replay` of a response says.

Rules (docs/fly.md, "Proxy"):

- The client sees none of it but the last response. A request over 1 MB is not sent on.
- Another app must be in the same network, and have an http service on the port that the client dialled.
- A request is sent on up to 10 times, then PA02.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

from lab.proxy.errors import (
    BodyTooLongToRepeatError,
    NoCandidateError,
    TooManyReplaysError,
    UnknownReplayAppError,
    no_route,
)
from lab.proxy.routing_fields import parse_replay

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.proxy.choice import Wish
    from lab.proxy.exchange import Exchange, SentOn
    from lab.proxy.places import Places

MAX_REPLAYS: Final = 10


class OtherApp(Protocol):
    """An app that requests can be sent on to."""

    def http_places(self, service_port: int, region: str) -> Places | None:
        """Return the Machines of its http service on that port, if it has one, for a client in `region`."""


class Replays:
    """Carries one app's requests, wherever its Machines send them on to."""

    def __init__(self, app_name: str, service_port: int, network: Mapping[str, OtherApp]) -> None:
        """Serve clients that dialled `service_port` of this app; `network` has every app they may be sent to."""
        self._app_name = app_name
        self._service_port = service_port
        self._network = network

    async def run(self, exchange: Exchange, own: Places, wish: Wish) -> bool:
        """Carry one request to its last response; return whether the client's connection can go on."""
        outcome = await exchange.run(own, wish)
        app_name, places = self._app_name, own
        for _ in range(MAX_REPLAYS):
            if isinstance(outcome, bool):
                return outcome
            if not exchange.upload.can_replay:
                raise BodyTooLongToRepeatError
            replay = parse_replay(outcome.value, outcome.machine.machine_id)
            source = replay.source(outcome.machine.machine_id, outcome.machine.region, time.time_ns() // 1000)
            if replay.app_name and replay.app_name != app_name:
                places = self._places_of(replay.app_name, app_name, own.region)
                app_name = replay.app_name
            outcome = await self._once(exchange, places.beside(), replay.wish, source)
        if isinstance(outcome, bool):
            return outcome
        raise TooManyReplaysError

    def _places_of(self, app_name: str, source_app: str, region: str) -> Places:
        app = self._network.get(app_name)
        if app is None:
            raise UnknownReplayAppError(source_app, app_name)
        places = app.http_places(self._service_port, region)
        if places is None:
            hint = f"app '{app_name}' has no http service on this port"
            raise NoCandidateError(no_route(self._service_port, hint))
        return places

    @staticmethod
    async def _once(exchange: Exchange, places: Places, wish: Wish, source: bytes) -> bool | SentOn:
        try:
            return await exchange.run(places, wish, source)
        finally:
            places.end()
