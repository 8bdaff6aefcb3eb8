"""Climb the rungs in order, to the first that fails.

Rules
- Nothing is asked for that an earlier rung has found.
- The request through Flycast wakes the app. DNS lags behind by its TTL of 5 s (docs/fly.md, "DNS"), so `.internal`
  has a little longer than that to show a started Machine.
- A Machine that was asleep gets a second request before "slow start" is ruled out; one that was up does not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from shell.answers import Answer, RecordType, listed_machines
from shell.doctor import naming, reaching
from shell.doctor.finding import Finding, Question, Verdict, skipped
from shell.doctor.path_size import largest, narrow_opener
from shell.doctor.probes import Place, Reached, Tried, fetch, greet, knock
from shell.doctor.reaching import Behind
from shell.doctor.service_view import ServiceView, find_view
from shell.wireguard import LEAST_MTU

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from shell.phases import Edge

DNS_LAG_SECONDS = 6.0
_LOOK_EVERY_SECONDS = 0.5
_KNOCK_SECONDS = 5.0
_AWAKE_SECONDS, _RETRY_SECONDS = 10.0, 2.0  # the stalled request has woken the app, the first small one warmed it
_ETHERNET_MTU = 1500
_USUAL_PORTS = (8080, 3000, 8000, 80, 5000, 4000)
_HTTP_PORT = 80


@dataclass(frozen=True, slots=True)
class Outside:
    """Everything outside: names, sockets and clock; how to pause (in seconds); the /48s this machine is in.

    `narrow` returns what connects in packets of some size at most.
    """

    edge: Edge
    pause: Callable[[float], None]
    own_networks: frozenset[str]
    narrow: Callable[[int], Callable[[str, int, float], socket.socket]] = narrow_opener


def climb(question: Question, outside: Outside) -> Iterator[Finding]:
    """Yield the finding of each rung as it comes; the last one is the first that failed."""
    ladder = _Ladder(question, outside)
    for rung in (
        ladder.nameserver,
        ladder.organisation,
        ladder.deployed,
        ladder.flycast_address,
        ladder.port,
        ladder.http,
        ladder.way_in,
        ladder.internal,
        ladder.six_pn,
        ladder.hello,
        ladder.public,
    ):
        finding = rung()
        yield finding
        if finding.verdict is Verdict.FAILED:
            return


class _Ladder:
    """The rungs, and what each leaves for those above it."""

    def __init__(self, question: Question, outside: Outside) -> None:
        self._question = question
        self._app_name = question.app_name
        self._edge = outside.edge
        self._pause = outside.pause
        self._own_networks = outside.own_networks
        self._narrow = outside.narrow
        self._apps: Answer
        self._deployed: Answer
        self._flycast_ip = ""
        self._view: ServiceView | None = None
        self._private_ip = ""

    def nameserver(self) -> Finding:
        self._apps = self._edge.ask("_apps.internal", RecordType.TXT)
        return naming.judge_nameserver(self._app_name, self._apps)

    def organisation(self) -> Finding:
        return naming.judge_organisation(self._app_name, self._apps)

    def deployed(self) -> Finding:
        self._deployed = self._ask("all.vms.{}.internal", RecordType.TXT)
        return naming.judge_deployed(self._app_name, self._deployed)

    def flycast_address(self) -> Finding:
        answer = self._ask("{}.flycast", RecordType.AAAA)
        self._flycast_ip = next(iter(answer.records), "")
        return naming.judge_flycast_address(self._app_name, answer, self._own_networks)

    def port(self) -> Finding:
        return reaching.judge_port(self._question, self._knock(self._flycast_ip, self._question.port))

    def http(self) -> Finding:
        were_asleep = not listed_machines(self._ask("vms.{}.internal", RecordType.TXT))
        tried = self._fetch_over_flycast("/")
        largest_bytes = self._largest_answered() if tried.reached is Reached.STALLED else 0
        behind = Behind(largest_bytes=largest_bytes)
        if reaching.reaches_no_machine(tried) and not largest_bytes:
            behind = self._look_behind(were_asleep=were_asleep)
        return reaching.judge_http(self._question, tried, behind)

    def way_in(self) -> Finding:
        tried, self._view = find_view(self._fetch_over_flycast)
        return reaching.judge_way_in(self._question, tried, self._view)

    def internal(self) -> Finding:
        internal, vms = self._once_dns_has_caught_up()
        self._private_ip = next(iter(internal.records), "")
        return naming.judge_internal(self._app_name, internal, vms)

    def six_pn(self) -> Finding:
        tried = self._knock(self._private_ip, self._question.internal_port) if self._private_ip else None
        return reaching.judge_six_pn(self._question, tried)

    def hello(self) -> Finding:
        port = self._question.hello_port
        if not port:
            return skipped(reaching.HELLO, "", "no hello port (--hello-port 0)")
        flycast = greet(self._place(self._flycast_ip, port), self._edge)
        direct = greet(self._place(self._private_ip, port), self._edge) if self._private_ip else None
        return reaching.judge_hello(self._question, flycast, direct, self._view)

    def public(self) -> Finding:
        name = f"{self._app_name}.fly.dev"
        answers = [self._edge.ask(name, kind) for kind in (RecordType.A, RecordType.AAAA)]
        return naming.judge_public(self._app_name, answers, self._view)

    def _look_behind(self, *, were_asleep: bool) -> Behind:
        internal, vms = self._once_dns_has_caught_up()
        if not internal.records and not listed_machines(vms) and vms.outcome.told:
            return Behind(asleep=tuple(machine.machine_id for machine in listed_machines(self._deployed)))
        if not internal.records:
            return Behind()
        private_ip = internal.records[0]
        direct = self._fetch_directly(private_ip, "/")
        refused = direct.reached is Reached.REFUSED
        return Behind(
            direct=direct,
            view=None if refused else find_view(partial(self._fetch_directly, private_ip))[1],
            open_port=self._find_open_port(private_ip) if refused else 0,
            again=self._fetch_over_flycast("/") if were_asleep and not refused else None,
        )

    def _largest_answered(self) -> int:
        """Return the largest packets in which the request is answered; 0 when that does not depend on their size."""

        def answers(packet_bytes: int, seconds: float) -> bool:
            edge = replace(self._edge, connect=self._narrow(packet_bytes))
            place = Place(self._flycast_ip, self._question.port, min(self._question.timeout_seconds, seconds))
            return fetch(place, f"{self._app_name}.flycast", "/", edge).reached is Reached.ANSWERED

        if not answers(LEAST_MTU, _AWAKE_SECONDS):
            return 0
        found = largest(lambda packet_bytes: answers(packet_bytes, _RETRY_SECONDS), LEAST_MTU, _ETHERNET_MTU)
        return found if found < _ETHERNET_MTU else 0

    def _once_dns_has_caught_up(self) -> tuple[Answer, Answer]:
        """Ask for started Machines until there are some, or there had been time to show them."""
        began = self._edge.clock()
        while True:
            internal = self._ask("{}.internal", RecordType.AAAA)
            if internal.records or self._edge.clock() - began >= DNS_LAG_SECONDS:
                return internal, self._ask("vms.{}.internal", RecordType.TXT)
            self._pause(_LOOK_EVERY_SECONDS)

    def _find_open_port(self, private_ip: str) -> int:
        others = (port for port in _USUAL_PORTS if port != self._question.internal_port)
        return next((port for port in others if self._knock(private_ip, port).reached.was_accepted), 0)

    def _ask(self, form: str, kind: RecordType) -> Answer:
        return self._edge.ask(form.format(self._app_name), kind)

    def _knock(self, address: str, port: int) -> Tried:
        return knock(Place(address, port, min(self._question.timeout_seconds, _KNOCK_SECONDS)), self._edge)

    def _fetch_over_flycast(self, path: str) -> Tried:
        port = self._question.port
        host = f"{self._app_name}.flycast" + (f":{port}" if port != _HTTP_PORT else "")
        return fetch(self._place(self._flycast_ip, port), host, path, self._edge)

    def _fetch_directly(self, private_ip: str, path: str) -> Tried:
        port = self._question.internal_port
        return fetch(self._place(private_ip, port), f"{self._app_name}.internal:{port}", path, self._edge)

    def _place(self, address: str, port: int) -> Place:
        return Place(address, port, self._question.timeout_seconds)
