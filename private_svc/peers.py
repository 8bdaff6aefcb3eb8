"""The other Machines of this app, as `.internal` DNS knows them.

`all.vms.APP.internal` lists the deployed Machines and `vms.APP.internal` the started ones; the difference is asleep
(FLY_FACTS section 4). The question goes to the resolver of the system, in the background: whoever asks for the panel
gets what is known, and never waits for DNS.
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
TTL_SECONDS = 5.0  # of an answer that carries none
TTL_AT_LEAST_SECONDS = 1.0  # however often somebody looks at the panel
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
    """What DNS said last, how long ago, and why it said nothing; `machines` is None before the first answer."""

    machines: tuple[Peer, ...] | None = None
    age_seconds: float = 0.0
    problem: str = ""


class Directory:
    """Keeps what DNS says of one app for as long as the records may be kept; times in seconds."""

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
        self._asked_s = self._good_until_s = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    def known(self) -> Peers:
        """Return what is known, and see to it that it is known better next time."""
        now_s = self._clock()
        if now_s >= self._good_until_s and (self._asking is None or self._asking.done()):
            self._asking = asyncio.get_running_loop().create_task(self._ask())
        age_seconds = 0.0 if self._machines is None else now_s - self._asked_s
        return Peers(self._machines, age_seconds, self._problem)

    async def _ask(self) -> None:
        ttl_seconds = TTL_SECONDS
        try:
            if self._resolver is None:
                self._resolver = await asyncio.get_running_loop().run_in_executor(None, self._make_resolver)
            deployed, deployed_ttl = await self._listed(self._resolver, "all.vms")
            started, started_ttl = await self._listed(self._resolver, "vms")
        except Exception as error:  # noqa: BLE001 - whatever the resolver or the network says, the panel goes on
            self._problem = f"{type(error).__name__}: {error}"[:200]
        else:
            ttl_seconds = min(deployed_ttl, started_ttl, TTL_AT_MOST_SECONDS)
            self._problem = ""
            self._asked_s = self._clock()
            both = sorted(deployed | started)[:PEERS_AT_MOST]
            self._machines = tuple(Peer(*machine, started=machine in started) for machine in both)
        self._good_until_s = self._clock() + max(ttl_seconds, TTL_AT_LEAST_SECONDS)

    async def _listed(self, resolver: Resolver, of: str) -> tuple[set[tuple[str, str]], float]:
        """Return (Machine ID, region) of every Machine that a TXT record lists, and the seconds it may be kept."""
        name = f"{of}.{self._app_name}.internal."
        answer = await resolver.resolve(name, "TXT", raise_on_no_answer=False, lifetime=self._answer_seconds)
        if answer.rrset is None:
            return set(), TTL_SECONDS
        texts = (b"".join(record.strings).decode("ascii", "replace") for record in answer.rrset)
        entries = (entry.split() for text in texts for entry in text.split(",") if entry.isprintable())
        return {(entry[0], entry[1]) for entry in entries if len(entry) == 2}, float(answer.rrset.ttl)  # noqa: PLR2004 - a pair


def _system_resolver() -> Resolver:
    from dns.asyncresolver import Resolver  # noqa: PLC0415 - in a thread, and only once somebody looks at the panel

    return Resolver()
