"""Which Machine a request gets, counted from the moment of the decision until the request is over.

The decision itself is `lab.proxy.choice`. A load is counted in the same step as the decision, with no await
between, so autostop never sees a Machine as idle that has work reserved.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.errors import MachineStartError, reason
from lab.proxy.choice import NO_WISH, Candidate, Queue, Refuse, Route, Rules, Wake, choose
from lab.proxy.errors import CandidateError, MachineNotStartedError, NoCandidateError, hard_limit_reached, no_route
from lab.states import FALLING_ASLEEP, MachineState

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from lab.log import EventLog
    from lab.proxy.backend import Backend
    from lab.proxy.choice import Wish
    from lab.proxy.reach import Patience
    from shell.flytoml import Service


class ServiceRoute:
    """One service of the app: the Machines that serve it, the load on each, and who waits for room."""

    __slots__ = ("_rules", "backends", "loads", "queue", "service")

    def __init__(self, service: Service, backends: Sequence[Backend]) -> None:
        self.service = service
        self._rules: dict[str, Rules] = {}
        self.backends = {
            backend.machine_id: backend
            for backend in backends
            if not service.processes or backend.process_group in service.processes
        }
        self.loads: Counter[str] = Counter()
        self.queue: dict[asyncio.Future[Lease], Search] = {}

    def rules(self, region: str) -> Rules:
        """Return what counts for requests that reached the proxy in `region`."""
        if region not in self._rules:
            limits = self.service.concurrency
            self._rules[region] = Rules(region, limits.soft_limit, limits.hard_limit, self.service.auto_start)
        return self._rules[region]


@dataclass(slots=True)
class Search:
    """One request's way to a Machine: what it asked for and what failed so far."""

    route: ServiceRoute
    service_port: int
    rules: Rules
    wish: Wish = NO_WISH
    last_error: str = ""
    failures: dict[str, int] = field(default_factory=dict)
    barred: set[str] = field(default_factory=set)

    def failed(self, machine_id: str, error: CandidateError) -> None:
        """Note that this Machine failed, and leave it out once it has failed often enough."""
        self.last_error = str(error)
        self.failures[machine_id] = self.failures.get(machine_id, 0) + 1
        if self.failures[machine_id] >= error.tries:
            self.barred.add(machine_id)


class Lease:
    """One unit of load on one Machine; `cold` says that the Machine had to be woken for it."""

    __slots__ = ("_balancer", "_released", "backend", "cold", "route")

    def __init__(self, balancer: Balancer, route: ServiceRoute, backend: Backend, *, cold: bool) -> None:
        self._balancer = balancer
        self._released = False
        self.route = route
        self.backend = backend
        self.cold = cold

    def release(self) -> None:
        """Give the load back; a second call does nothing."""
        if not self._released:
            self._released = True
            self._balancer.give_back(self)


class Balancer:
    """Chooses among one app's Machines, wakes them, and counts load for each service."""

    def __init__(
        self,
        services: Sequence[Service],
        backends: Sequence[Backend],
        rng: random.Random,
        patience: Patience,
        log: EventLog,
    ) -> None:
        """Begin with no load on any of `backends`."""
        self._routes = {service: ServiceRoute(service, backends) for service in services}
        self._log = log
        self._rng = rng
        self._patience = patience
        self._starts: dict[str, asyncio.Task[None]] = {}

    def load(self, machine_id: str, service: Service | None = None) -> int:
        """Return the load on one Machine, reservations included: of one service, or of all together."""
        counted = self._routes.values() if service is None else (self._routes[service],)
        return sum(route.loads[machine_id] for route in counted)

    def route(self, service: Service) -> ServiceRoute:
        """Return what is known of one of the app's services."""
        return self._routes[service]

    async def lease(self, search: Search) -> Lease:
        """Reserve a Machine, queueing while all are full; raise `NoCandidateError` when there is none."""
        lease = self.lease_now(search)
        if lease is not None:
            return lease
        queue = search.route.queue
        if not queue:
            self._log("proxy", hard_limit_reached(search.route.service.concurrency), level="error")
        place: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()
        queue[place] = search
        try:
            async with asyncio.timeout(self._patience.queue_seconds):
                return await place
        except TimeoutError:
            _release_late(place)
            raise NoCandidateError(search.last_error) from None
        except asyncio.CancelledError:
            _release_late(place)
            raise
        finally:
            queue.pop(place, None)

    async def wake(self, backend: Backend) -> None:
        """Return once the Machine is started; everybody who asks joins one start."""
        start = self._starts.get(backend.machine_id)
        if start is None:
            start = asyncio.get_running_loop().create_task(self._start(backend))
            self._starts[backend.machine_id] = start
            start.add_done_callback(lambda done: self._start_is_over(backend.machine_id, done))
        await asyncio.shield(start)

    async def close(self) -> None:
        """End the starts that are under way."""
        starts = list(self._starts.values())
        for start in starts:
            start.cancel()
        await asyncio.gather(*starts, return_exceptions=True)

    def give_back(self, lease: Lease) -> None:
        """Take the load of `lease` off and let the next in the queue go."""
        lease.route.loads[lease.backend.machine_id] -= 1
        queue = lease.route.queue
        if not queue:
            return
        for place, search in list(queue.items()):
            if place.done() or self._granted(place, search):
                queue.pop(place, None)
            elif search.wish is NO_WISH:
                return  # nor is there room for whoever comes after

    def _granted(self, place: asyncio.Future[Lease], search: Search) -> bool:
        """Try once more for one that queues; return whether its wait is over."""
        try:
            lease = self.lease_now(search)
        except NoCandidateError as error:
            place.set_exception(error)
            return True
        if lease is not None:
            place.set_result(lease)
        return lease is not None

    def lease_now(self, search: Search) -> Lease | None:
        """Reserve a Machine, or return None when all are full; raise `NoCandidateError` when there is none."""
        route = search.route
        port = route.service.internal_port
        candidates = [
            Candidate(machine_id, backend.region, state, route.loads[machine_id])
            for machine_id, backend in route.backends.items()
            if machine_id not in search.barred
            and ((state := backend.state) is not MachineState.STARTED or backend.serves(port))
        ]
        decision = choose(candidates, search.rules, search.wish, self._rng)
        match decision:
            case Route(machine_id) | Wake(machine_id):
                route.loads[machine_id] += 1
                return Lease(self, route, route.backends[machine_id], cold=isinstance(decision, Wake))
            case Queue():
                return None
            case Refuse():
                hint = "no Machine is started and passes its checks, and autostart is off or there is none to start"
                if search.wish is not NO_WISH:
                    hint = "no Machine that the request or fly-replay asked for is started or can be"
                raise NoCandidateError(search.last_error or no_route(search.service_port, hint))

    async def _start(self, backend: Backend) -> None:
        try:
            async with asyncio.timeout(self._patience.start_seconds):
                if backend.state in FALLING_ASLEEP:
                    await backend.settled()
                if backend.state is not MachineState.STARTED:
                    await backend.start()
        except MachineStartError as error:
            raise MachineNotStartedError(str(error)) from error
        except TimeoutError:
            reason = f"not started after {self._patience.start_seconds:g} s"
            raise MachineNotStartedError(reason) from None

    def _start_is_over(self, machine_id: str, start: asyncio.Task[None]) -> None:
        del self._starts[machine_id]
        error = None if start.cancelled() else start.exception()
        if error is not None and not isinstance(error, CandidateError):  # those who waited have it, if any are left
            self._log("proxy", f"a start failed: {reason(error)}", machine_id=machine_id, level="error")


def _release_late(place: asyncio.Future[Lease]) -> None:
    """Give back what was granted in the moment its waiter left."""
    if place.done() and not place.cancelled() and place.exception() is None:
        place.result().release()
