"""Every way a try can end, against every way the look behind it can."""

from __future__ import annotations

from itertools import product

import pytest

from shell.doctor.faults import REMEDIES, Fault
from shell.doctor.finding import Question, Verdict, failed
from shell.doctor.probes import Reached, Tried
from shell.doctor.reaching import (
    Behind,
    judge_hello,
    judge_http,
    judge_port,
    judge_six_pn,
    judge_way_in,
    reaches_no_machine,
)
from shell.doctor.service_view import ServiceView, read_view

QUESTION = Question("shop")
BOTH = ServiceView("six_pn", ports_for_proxy=frozenset({8080, 1848}))
NOT_ACCEPTED = [reached for reached in Reached if not reached.was_accepted]
WELL = Tried("", Reached.ANSWERED, status=200)
UNAVAILABLE = Tried("", Reached.ANSWERED, status=503)
HELLO = Tried("", Reached.ANSWERED, said=b"hello\n")
REFUSED = Tried("", Reached.REFUSED)
LISTENERS = (
    b'{"you": {"ingress": "flycast"}, "listeners": [{"address": "[::]:8080", "reach": "Flycast and 6PN"},'
    b' {"address": "[::]:9091", "reach": "6PN and ::1"}, {"address": "odd", "reach": "Flycast"}, 7]}'
)
# what a request or a greeting may have met
TRIES = [
    *(Tried("", reached) for reached in Reached if reached is not Reached.ANSWERED),
    *(Tried("", Reached.ANSWERED, status=status) for status in (200, 301, 404, 500, 502, 503, 504)),
    HELLO,
    Tried("", Reached.ANSWERED, said=b"SSH-2.0\r\n"),
]


@pytest.mark.parametrize("reached", Reached)
def test_a_port_is_open_when_it_takes_a_connection(reached: Reached) -> None:
    fault = judge_port(QUESTION, Tried("", reached)).fault
    assert (fault is None) is reached.was_accepted
    assert (fault is Fault.NO_SERVICE) is (reached is Reached.REFUSED)


@pytest.mark.parametrize(
    ("tried", "fault"),
    [
        (WELL, None),
        (Tried("", Reached.ANSWERED, status=404), None),
        (Tried("", Reached.ANSWERED, status=301, location="/login"), None),
        (Tried("", Reached.ANSWERED, status=301, location="https://shop.flycast/"), Fault.FORCE_HTTPS),
        (Tried("", Reached.ANSWERED, status=308, location="HTTPS://shop.flycast/"), Fault.FORCE_HTTPS),
        (Tried("", Reached.ANSWERED, status=500), Fault.APP_FAILED),
        (Tried("", Reached.GARBLED), Fault.NO_HTTP),
        (REFUSED, Fault.NO_ROUTE),
    ],
)
def test_an_answer_of_the_app_speaks_for_itself(tried: Tried, fault: Fault | None) -> None:
    assert not reaches_no_machine(tried)
    assert judge_http(QUESTION, tried, Behind(asleep=("d890",))).fault is fault


@pytest.mark.parametrize(
    "tried",
    [
        *(Tried("", Reached.ANSWERED, status=status) for status in (502, 503, 504)),
        *(Tried("", reached) for reached in (Reached.EMPTY, Reached.RESET, Reached.STALLED)),
    ],
    ids=lambda tried: f"{tried.reached.name} {tried.status}",
)
@pytest.mark.parametrize(
    ("behind", "fault"),
    [
        (Behind(asleep=("d890",)), Fault.NO_AUTOSTART),
        (Behind(), Fault.NOT_REACHED),
        (Behind(direct=Tried("", Reached.SILENT)), Fault.NOT_REACHED),
        (Behind(direct=Tried("", Reached.NO_ROUTE)), Fault.NOT_REACHED),
        (Behind(direct=REFUSED), Fault.NOT_LISTENING),
        (Behind(direct=REFUSED, open_port=3000), Fault.WRONG_INTERNAL_PORT),
        (Behind(direct=WELL), Fault.IPV6_ONLY),
        (Behind(direct=WELL, view=ServiceView("six_pn")), Fault.IPV6_ONLY),
        (Behind(direct=WELL, view=BOTH), Fault.WRONG_INTERNAL_PORT),
        (Behind(direct=WELL, again=UNAVAILABLE), Fault.IPV6_ONLY),
        (Behind(direct=WELL, again=WELL), Fault.SLOW_START),
        (Behind(direct=UNAVAILABLE), Fault.APP_FAILED),
        (Behind(direct=Tried("", Reached.STALLED)), Fault.APP_FAILED),
        (Behind(direct=Tried("", Reached.EMPTY)), Fault.APP_FAILED),
    ],
)
def test_when_fly_proxy_reaches_no_machine_the_direct_look_names_the_cause(
    tried: Tried, behind: Behind, fault: Fault
) -> None:
    assert judge_http(QUESTION, tried, behind).fault is fault


def test_every_end_of_a_request_and_of_the_look_behind_it_is_judged() -> None:
    views = (None, ServiceView("six_pn"), BOTH)
    for tried, direct, view, port, asleep in product(TRIES, (None, *TRIES), views, (0, 3000), ((), ("d890",))):
        finding = judge_http(QUESTION, tried, Behind(asleep, direct, view, port))
        assert (finding.verdict is Verdict.FAILED) is (finding.fault is not None)
        if reaches_no_machine(tried):
            assert finding.fault, f"{tried} means that no Machine was reached: {finding}"


@pytest.mark.parametrize(
    ("view", "verdict"),
    [
        (None, Verdict.SKIPPED),
        (ServiceView("flycast"), Verdict.OK),
        *((ServiceView(ingress), Verdict.FAILED) for ingress in ("public", "platform", "six_pn", "unknown")),
    ],
)
def test_the_service_must_see_a_flycast_caller(view: ServiceView | None, verdict: Verdict) -> None:
    assert judge_way_in(QUESTION, WELL, view).verdict is verdict


@pytest.mark.parametrize("reached", Reached)
def test_a_machine_that_refuses_over_6pn_what_flycast_reaches_is_bound_to_ipv4_only(reached: Reached) -> None:
    fault = judge_six_pn(QUESTION, Tried("", reached)).fault
    assert (fault is None) is reached.was_accepted
    assert (fault is Fault.IPV4_ONLY) is (reached is Reached.REFUSED)


def test_no_machine_started_leaves_nothing_to_reach_over_6pn() -> None:
    assert judge_six_pn(QUESTION, None).verdict is Verdict.SKIPPED


@pytest.mark.parametrize(
    ("flycast", "direct", "view", "fault"),
    [
        (HELLO, HELLO, None, None),
        (HELLO, None, None, None),
        (REFUSED, HELLO, None, Fault.HELLO_NO_SERVICE),
        (Tried("", Reached.SILENT), HELLO, None, Fault.NO_ROUTE),
        (Tried("", Reached.EMPTY), REFUSED, None, Fault.HELLO_CLOSED),
        (Tried("", Reached.EMPTY), None, None, Fault.HELLO_CLOSED),
        (Tried("", Reached.EMPTY), HELLO, None, Fault.IPV6_ONLY),
        (Tried("", Reached.EMPTY), HELLO, BOTH, Fault.HELLO_UNMATCHED),
        (Tried("", Reached.STALLED), Tried("", Reached.STALLED), None, Fault.HELLO_OTHER),
        (Tried("", Reached.ANSWERED, said=b"SSH-2.0\r\n"), REFUSED, None, Fault.HELLO_OTHER),
        (HELLO, REFUSED, None, Fault.IPV4_ONLY),
        (HELLO, Tried("", Reached.SILENT), None, Fault.NOT_REACHED),
    ],
)
def test_the_hello_port_greets_over_both_ways(
    flycast: Tried, direct: Tried | None, view: ServiceView | None, fault: Fault | None
) -> None:
    assert judge_hello(QUESTION, flycast, direct, view).fault is fault


def test_the_hello_port_is_well_only_when_every_way_that_was_tried_greets() -> None:
    for flycast, direct, view in product(TRIES, (None, *TRIES), (None, BOTH)):
        greets = flycast.said == HELLO.said and (direct is None or direct.said == HELLO.said)
        finding = judge_hello(QUESTION, flycast, direct, view)
        assert (finding.verdict is Verdict.OK) is greets, finding


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_has_a_cause_and_a_command_without_gaps(fault: Fault) -> None:
    finding = failed("rung", "did", "got", fault, "shop", port=8080, what="WHAT")
    assert finding.cause
    assert finding.command
    assert not set("{}") & set(finding.cause + finding.command), "a placeholder was left"
    assert REMEDIES.keys() == set(Fault)


@pytest.mark.parametrize(
    ("said", "status", "view"),
    [
        (b'{"you": {"ingress": "flycast"}}', 200, ServiceView("flycast")),
        (b'{"you": {"ingress": "flycast"}}', 404, None),
        (b'{"you": {"ingress": "flycast"}, "requests": {"public": 3}, "refused": 2}', 200, ServiceView("flycast", 3)),
        (b'{"you": {"ingress": "flycast"}, "requests": {"public": "3"}, "refused": 1}', 200, ServiceView("flycast", 1)),
        (LISTENERS, 200, ServiceView("flycast", 0, frozenset({8080}))),
        (b"403: this service is private, and you came in through a public address", 403, ServiceView("public")),
        (b"403: this service is private, and it does not know the network that", 403, ServiceView("unknown")),
        (b"403: this service is private, so are we", 403, None),
        (b"403: not for you", 403, None),
        (b"<html>", 200, None),
        (b'{"you": "flycast"}', 200, None),
        (b'{"you": {"ingress": 7}}', 200, None),
        (b"[" * 100_000, 200, None),
        (b"\xff\xfe", 200, None),
        (b"7", 200, None),
    ],
)
def test_only_the_blueprint_s_own_answer_is_read(said: bytes, status: int, view: ServiceView | None) -> None:
    assert read_view(Tried("", Reached.ANSWERED, status=status, said=said)) == view
