from __future__ import annotations

import pytest

from shell.answers import Answer, Outcome, RecordType
from shell.doctor.faults import Fault
from shell.doctor.finding import Verdict
from shell.doctor.naming import (
    judge_deployed,
    judge_flycast_address,
    judge_internal,
    judge_nameserver,
    judge_organisation,
    judge_public,
    networks_of,
)
from shell.doctor.service_view import ServiceView

OWN = frozenset({"fdaa:0:18::/48"})
UNTOLD = [outcome for outcome in Outcome if not outcome.told]
IF_INET6 = """\
00000000000000000000000000000001 01 80 10 80       lo
fdaa000000180a7b007df066b83b0002 02 70 00 80     eth0
fe80000000000000d80f1ffffe1a0001 02 40 20 80     eth0
"""


def answer(outcome: Outcome = Outcome.OK, *records: str, kind: RecordType = RecordType.TXT) -> Answer:
    return Answer("asked.name", kind, outcome, records, 5, 1.0, "fdaa::3")


def aaaa(*records: str) -> Answer:
    return answer(Outcome.OK if records else Outcome.NODATA, *records, kind=RecordType.AAAA)


@pytest.mark.parametrize(
    ("if_inet6", "servers", "networks"),
    [
        (IF_INET6, ["fdaa::3"], OWN),
        (IF_INET6, ["fdaa:9:9::3"], OWN),
        ("", ["fdaa:0:18::3"], OWN),
        ("", ["fdaa::3", "127.0.0.1"], frozenset()),
        ("nonsense\n\n", [], frozenset()),
    ],
)
def test_the_own_network_is_told_by_own_addresses_else_by_the_nameserver(
    if_inet6: str, servers: list[str], networks: frozenset[str]
) -> None:
    assert networks_of(if_inet6, servers) == networks


@pytest.mark.parametrize("outcome", Outcome)
def test_a_nameserver_is_private_when_it_knows_the_list_of_apps(outcome: Outcome) -> None:
    expected = {
        Outcome.OK: None,
        Outcome.NODATA: None,
        Outcome.TIMEOUT: Fault.NO_NAMESERVER,
        Outcome.UNREACHABLE: Fault.NO_NAMESERVER,
    }.get(outcome, Fault.PUBLIC_NAMESERVER)
    assert judge_nameserver("shop", answer(outcome)).fault is expected


@pytest.mark.parametrize(
    ("apps", "fault", "words"),
    [
        ("blog,shop", None, "shop is here, among blog, shop"),
        ("blog,shpo", Fault.MISSPELT_APP, "flycast-probe doctor shpo"),
        ("blog", Fault.WRONG_ORGANISATION, "apps here: blog"),
        ("", Fault.WRONG_ORGANISATION, "apps here: none"),
        (",".join(f"app{n}" for n in range(20)), Fault.WRONG_ORGANISATION, "app7 and 12 more"),
    ],
)
def test_the_organisation_is_right_when_it_lists_the_app(apps: str, fault: Fault | None, words: str) -> None:
    finding = judge_organisation("shop", answer(Outcome.OK, apps))
    assert finding.fault is fault
    assert words in finding.got + finding.command


@pytest.mark.parametrize("outcome", UNTOLD)
def test_a_nameserver_that_stops_telling_is_the_fault_on_any_rung(outcome: Outcome) -> None:
    untold = answer(outcome)
    for finding in (
        judge_deployed("shop", untold),
        judge_flycast_address("shop", untold, OWN),
        judge_internal("shop", untold, answer()),
        judge_internal("shop", aaaa(), untold),
    ):
        assert finding.fault is Fault.NO_NAMESERVER, finding


@pytest.mark.parametrize("all_vms", [answer(Outcome.NXDOMAIN), answer(Outcome.NODATA), answer(Outcome.OK, "")])
def test_an_app_without_machines_is_not_deployed(all_vms: Answer) -> None:
    assert judge_deployed("shop", all_vms).fault is Fault.NOT_DEPLOYED


def test_an_app_with_machines_is_deployed() -> None:
    finding = judge_deployed("shop", answer(Outcome.OK, "d890 ams,e123 cdg"))
    assert (finding.verdict, finding.got) == (Verdict.OK, "d890 ams, e123 cdg")


@pytest.mark.parametrize(
    ("records", "fault"),
    [
        (("fdaa:0:18:0:1::7",), None),
        ((), Fault.NO_FLYCAST_ADDRESS),
        (("fdaa:0:19:0:1::7",), Fault.OTHER_NETWORK),
        (("fdaa:0:18:a7b:7d:f066:b83b:2",), Fault.OTHER_NETWORK),
        (("2001:db8::7",), Fault.OTHER_NETWORK),
    ],
)
def test_a_flycast_address_must_lie_in_this_machine_s_network(records: tuple[str, ...], fault: Fault | None) -> None:
    assert judge_flycast_address("shop", aaaa(*records), OWN).fault is fault


def test_a_flycast_address_is_not_compared_with_an_unknown_network() -> None:
    finding = judge_flycast_address("shop", aaaa("fdaa:0:19:0:1::7"), frozenset())
    assert finding.verdict is Verdict.OK
    assert "not compared" in finding.got


@pytest.mark.parametrize(
    ("internal", "vms", "fault"),
    [
        (aaaa("fdaa:0:18:a7b:7d:f066:b83b:2"), answer(Outcome.OK, "d890 ams"), None),
        (aaaa("fdaa:0:18:a7b:7d:f066:b83b:2"), answer(Outcome.NODATA), None),
        (aaaa(), answer(Outcome.NODATA), None),
        (aaaa(), answer(Outcome.OK, "d890 ams"), Fault.STALE_NAMES),
        (answer(Outcome.NXDOMAIN), answer(Outcome.OK, "d890 ams"), Fault.STALE_NAMES),
    ],
)
def test_internal_names_answer_or_all_is_asleep(internal: Answer, vms: Answer, fault: Fault | None) -> None:
    assert judge_internal("shop", internal, vms).fault is fault


@pytest.mark.parametrize(
    ("answers", "view", "verdict"),
    [
        ([answer(Outcome.NXDOMAIN), answer(Outcome.NXDOMAIN)], None, Verdict.OK),
        ([aaaa(), aaaa("fdaa:0:18:0:1::7")], None, Verdict.OK),
        ([aaaa(), aaaa("2001:db8::7")], None, Verdict.FAILED),
        ([answer(Outcome.OK, "192.0.2.1"), aaaa()], None, Verdict.FAILED),
        ([answer(Outcome.OK, "192.0.2.1"), answer(Outcome.SERVFAIL)], None, Verdict.FAILED),
        ([aaaa(), aaaa("::ffff:192.0.2.1")], None, Verdict.FAILED),
        ([aaaa(), answer(Outcome.SERVFAIL)], None, Verdict.SKIPPED),
        ([answer(Outcome.TIMEOUT), aaaa("fdaa:0:18:0:1::7")], ServiceView("flycast"), Verdict.SKIPPED),
        ([answer(Outcome.SERVFAIL)] * 2, ServiceView("flycast", public_requests=1), Verdict.FAILED),
        ([answer(Outcome.NXDOMAIN)] * 2, ServiceView("flycast", public_requests=1), Verdict.FAILED),
    ],
)
def test_an_app_is_public_when_public_dns_or_the_service_says_so(
    answers: list[Answer], view: ServiceView | None, verdict: Verdict
) -> None:
    finding = judge_public("shop", answers, view)
    assert finding.verdict is verdict
    assert (finding.fault is Fault.PUBLIC) is (verdict is Verdict.FAILED)
