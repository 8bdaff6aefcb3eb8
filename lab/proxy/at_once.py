"""Requests that wait for nothing but their answer, carried from callback to callback without a task.

Rules:

- A request goes this way when it came whole, has no body, wishes for nothing, keeps its connection, may be sent twice
  (RFC 9110 section 9.2.2), and a connection to a Machine with room is idle.
- Its answer goes this way when it came whole, with a length, and keeps its connection.
- Whatever turns out otherwise is left untaken to the task of the client's connection, which knows every case
  (`lab.proxy.exchange`). What is decided here is decided by the same functions as there.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lab.proxy.errors import ProxyError
from lab.proxy.exchange import answer_head, replay_asked
from lab.proxy.heads import Framing, find_end, parse_request, parse_response, response_body, wants_keep_alive
from lab.proxy.routing_fields import WISHES
from lab.proxy.stamps import request_bytes
from lab.proxy.upload import IDEMPOTENT

if TYPE_CHECKING:
    from lab.proxy.heads import RequestHead
    from lab.proxy.link import Link
    from lab.proxy.places import Places
    from lab.proxy.stamps import Caller, Stamp
    from lab.proxy.upstream import Upstream

_NEED_MORE: Final = frozenset({b"content-length", b"transfer-encoding", b"upgrade", *WISHES})
_FIRST_FINAL: Final = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that a Machine has got; its answer may take until the loop's clock shows `until`."""

    head: RequestHead
    stamp: Stamp
    upstream: Upstream
    until: float


class AtOnce:
    """Carries one client connection's requests until one of them needs more."""

    def __init__(
        self, client: Link, places: Places, caller: Caller, *, keep_alive_seconds: float, answer_seconds: float
    ) -> None:
        """Let the client take `keep_alive_seconds` for its next request, a Machine `answer_seconds` for its answer."""
        self._client = client
        self._places = places
        self._caller = caller
        self._keep_alive_seconds = keep_alive_seconds
        self._answer_seconds = answer_seconds
        self._loop = asyncio.get_running_loop()
        self._asked: Asked | None = None
        self._stuck: asyncio.Future[None]

    async def until_more_is_needed(self, idle_seconds: float) -> Asked | None:
        """Carry requests; return the one whose answer needs more, or None when the next request does or none can come.

        Raise `TimeoutError` when the client says nothing for `idle_seconds`, or later for its `keep_alive_seconds`.
        """
        self._stuck = self._loop.create_future()
        self._next(idle_seconds)
        await self._stuck
        asked, self._asked = self._asked, None
        return asked

    def end(self) -> None:
        """Give up what is under way."""
        self._client.unwatch()
        if self._asked is not None:
            self._asked.upstream.link.unwatch()
            self._asked.upstream.end()

    def _next(self, idle_seconds: float) -> None:
        if self._client.received or self._client.at_eof:
            self._ask()
        else:
            self._client.watch(self._client_changed, idle_seconds)

    def _client_changed(self) -> None:
        if self._client.received or self._client.at_eof:
            self._ask()
        else:
            self._stop(TimeoutError("no request came in time"))

    def _ask(self) -> None:
        """Send the next request on, or leave it to the task."""
        try:
            sent = self._sent_on()
        except ProxyError:  # the task finds the same, and answers it
            sent = False
        except Exception as error:  # noqa: BLE001 - the task's to report: this is its connection
            self._stop(error)
            return
        if not sent:
            self._stop()

    def _sent_on(self) -> bool:
        client = self._client
        end = find_end(client.received, 0)
        if end < 0 or client.congested:
            return False
        head = parse_request(bytes(client.received[:end]))
        if not (head.minor and head.method in IDEMPOTENT and head.fields.has_none_of(_NEED_MORE) and head.keep_alive):
            return False
        upstream = self._places.at_hand()
        if upstream is None:
            return False
        del client.received[:end]
        stamp = self._caller.stamp()
        self._asked = Asked(head, stamp, upstream, self._loop.time() + self._answer_seconds)
        upstream.link.write(request_bytes(head, stamp, b""))
        upstream.link.watch(self._machine_changed, self._answer_seconds)
        return True

    def _machine_changed(self) -> None:
        if self._asked is None or self._client.lost:
            return  # the task is about to end
        try:
            answered = self._passed_on(self._asked)
        except ProxyError:
            answered = False
        except Exception as error:  # noqa: BLE001 - as above
            self._stop(error)
            return
        if not answered:
            self._stop()
            return
        upstream, self._asked = self._asked.upstream, None
        self._places.keep(upstream)
        self._next(self._keep_alive_seconds)

    def _passed_on(self, asked: Asked) -> bool:
        received = asked.upstream.link.received
        end = find_end(received, 0)
        if end < 0:
            return False
        response = parse_response(bytes(received[:end]))
        if response.status < _FIRST_FINAL or replay_asked(response) is not None:
            return False
        body = response_body(response, asked.head.method)
        whole = body.framing is Framing.LENGTH and len(received) == end + body.length
        if not (whole and wants_keep_alive(response.minor, response.fields)):
            return False
        head = answer_head(asked.head, response, asked.stamp, sized=True, keep_client=True)
        self._client.write(head + received[end:])
        received.clear()
        return True

    def _stop(self, error: Exception | None = None) -> None:
        if self._stuck.done():
            return
        if error is None:
            self._stuck.set_result(None)
        else:
            self._stuck.set_exception(error)
