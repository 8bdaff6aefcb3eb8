"""The other Machines of this app, as `.internal` DNS knows them.

`all.vms.APP.internal` lists the deployed Machines and `vms.APP.internal` the started ones; the difference is asleep
(docs/fly.md, "DNS"). The queries go to the system's resolver in the background: a request for the panel gets the latest
answer and never waits for DNS.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from dns.asyncresolver import Resolver

ANSWER_SECONDS = 2.0
TTL_SECONDS = 5.0  # for an answer without records
TTL_AT_LEAST_SECONDS = 1.0  # however often the panel is requested
TTL_AT_MOST_SECONDS = 60.0
PEERS_AT_MOST = 500


@dataclass(frozen=True, slots=True, order=True)
class Peer:
    """A Machine of this app."""

    machine_id: str
    region: str
    started: bool


@dataclass(frozen=True, slots=True)
class Peers:
    """The last answer of DNS, its age, and why the last query failed; `machines` is None before the first answer."""

    machines: tuple[Peer, ...] | None = None
    age_seconds: float = 0.0
    problem: str = ""


class Directory:
    """Keep the Machines that DNS lists for one app, for as long as the TTL of the records allows; times in seconds."""

    def __init__(
        self,
        app_name: str,
        make_resolver: Callable[[], Resolver] | None = None,
        clock: Callable[[], float] = time.monotonic,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._app_name = app_name
        self._make_resolver = make_resolver or _system_resolver
        self._clock = clock
        self._answer_seconds = answer_seconds
        self._resolver: Resolver | None = None
        self._machines: tuple[Peer, ...] | None = None
        self._problem = ""
        self._answered_s = self._expires_s = float("-inf")
        self._query: asyncio.Task[None] | None = None

    def known(self) -> Peers:
        """Return the latest answer; when it has expired, query DNS in the background."""
        now_s = self._clock()
        if now_s >= self._expires_s and (self._query is None or self._query.done()):
            self._query = asyncio.get_running_loop().create_task(self._refresh())
        age_seconds = 0.0 if self._machines is None else now_s - self._answered_s
        return Peers(self._machines, age_seconds, self._problem)

    async def _refresh(self) -> None:
        ttl_seconds = TTL_SECONDS
        try:
            if self._resolver is None:
                self._resolver = await asyncio.get_running_loop().run_in_executor(None, self._make_resolver)
            deployed, deployed_ttl = await self._list(self._resolver, "all.vms")
            started, started_ttl = await self._list(self._resolver, "vms")
        except Exception as error:  # noqa: BLE001 - the panel works without DNS, whatever fails
            self._problem = f"{type(error).__name__}: {error}"[:200]
        else:
            ttl_seconds = min(deployed_ttl, started_ttl, TTL_AT_MOST_SECONDS)
            self._problem = ""
            self._answered_s = self._clock()
            listed = sorted(deployed | started)[:PEERS_AT_MOST]
            self._machines = tuple(Peer(*machine, started=machine in started) for machine in listed)
        self._expires_s = self._clock() + max(ttl_seconds, TTL_AT_LEAST_SECONDS)

    async def _list(self, resolver: Resolver, label: str) -> tuple[set[tuple[str, str]], float]:
        """Return (Machine ID, region) of every Machine in the TXT records of a name, and their TTL in seconds."""
        name = f"{label}.{self._app_name}.internal."
        answer = await resolver.resolve(name, "TXT", raise_on_no_answer=False, lifetime=self._answer_seconds)
        if answer.rrset is None:
            return set(), TTL_SECONDS
        texts = (b"".join(record.strings).decode("ascii", "replace") for record in answer.rrset)
        entries = (entry.split() for text in texts for entry in text.split(",") if entry.isprintable())
        return {(entry[0], entry[1]) for entry in entries if len(entry) == 2}, float(answer.rrset.ttl)  # noqa: PLR2004 - a pair


def _system_resolver() -> Resolver:
    from dns.asyncresolver import Resolver  # noqa: PLC0415 - in a thread, at the first request for the panel

    return Resolver()
