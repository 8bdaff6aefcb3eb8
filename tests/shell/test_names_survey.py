from __future__ import annotations

from typing import TYPE_CHECKING

import dns.rcode
import pytest

from shell.answers import Outcome
from shell.names.grammar import ORGANISATION_NAMES
from shell.names.record import names_record
from shell.names.survey import MachineRow, Survey, survey, survey_organisation
from shell.resolve import Resolver
from tests.shell.scripted_dns import closed_server, code, empty_texts, raw_text, records, silence

if TYPE_CHECKING:
    from tests.shell.scripted_dns import ScriptedDns

UP, ASLEEP = "3d8d9014b32d89", "90801f52c5d087"
SIX_PN = "fdaa:0:18:a7b:7d:f066:b83b:2"


def ask(nameserver: ScriptedDns, subject: str) -> Survey:
    return survey(subject, Resolver([nameserver.server], try_seconds=5.0).ask)


def half_asleep(nameserver: ScriptedDns) -> None:
    nameserver.app("shop", "fdaa:0:18:0:1::7", deployed=f"{UP} ams,{ASLEEP} cdg", started=f"{UP} ams")
    nameserver.script["shop.internal", "AAAA"] = records("AAAA", SIX_PN)
    nameserver.script["global.shop.internal", "AAAA"] = records("AAAA", SIX_PN)
    nameserver.script["ams.shop.internal", "AAAA"] = records("AAAA", SIX_PN)
    nameserver.script["cdg.shop.internal", "AAAA"] = records("AAAA")
    nameserver.script[f"{UP}.vm.shop.internal", "AAAA"] = records("AAAA", SIX_PN)
    nameserver.script[f"{ASLEEP}.vm.shop.internal", "AAAA"] = records("AAAA")
    nameserver.script["regions.shop.internal", "TXT"] = records("TXT", "ams")
    nameserver.script["all.regions.shop.internal", "TXT"] = records("TXT", "ams,cdg")
    nameserver.script["top1.nearest.of.shop.internal", "AAAA"] = records("AAAA", SIX_PN)
    nameserver.script["app.process.shop.internal", "AAAA"] = records("AAAA", SIX_PN)
    nameserver.script["_apps.internal", "TXT"] = records("TXT", "shop,shell")
    nameserver.script["_instances.internal", "TXT"] = records("TXT", f"instance={UP},app=shop,ip={SIX_PN},region=ams")
    nameserver.script["all._instances.internal", "TXT"] = records("TXT", f"instance={UP}", f"instance={ASLEEP}")
    nameserver.script["_peer.internal", "TXT"] = records("TXT", "laptop")
    nameserver.script["_api.internal", "AAAA"] = records("AAAA", "fdaa:0:18::3")


def test_every_name_of_an_app_is_asked_for_once_with_its_type(nameserver: ScriptedDns) -> None:
    half_asleep(nameserver)
    ask(nameserver, "shop")
    own = {(name, kind) for name, kind in nameserver.script if name not in ORGANISATION_NAMES}
    assert sorted((name, kind) for name, kind, _ in nameserver.asked) == sorted(own)


def test_the_names_of_the_organisation_are_asked_for_on_demand(nameserver: ScriptedDns) -> None:
    half_asleep(nameserver)
    found = survey_organisation(Resolver([nameserver.server]).ask)
    assert tuple(name for name, _, _ in nameserver.asked) == ORGANISATION_NAMES
    assert found.trouble == ""
    assert found.answers[0].records == ("shop,shell",)


def test_a_nameserver_that_knows_no_organisation_is_not_of_a_private_network(nameserver: ScriptedDns) -> None:
    words = (
        f"{nameserver.server} is not a nameserver of a private network: run this on a shell Machine or over WireGuard"
    )
    assert ask(nameserver, "shop").trouble.startswith(words)
    assert survey_organisation(Resolver([nameserver.server]).ask).trouble.startswith(words)


def test_started_and_deployed_machines_are_set_against_each_other(nameserver: ScriptedDns) -> None:
    half_asleep(nameserver)
    found = ask(nameserver, "shop")
    assert found.trouble == ""
    assert found.machines == (
        MachineRow(UP, "ams", started=True, private_ip=SIX_PN),
        MachineRow(ASLEEP, "cdg", started=False, private_ip=""),
    )


def test_an_app_fast_asleep_is_well(nameserver: ScriptedDns) -> None:
    nameserver.app("shop", "fdaa:0:18:0:1::7", deployed=f"{UP} ams", started="")
    nameserver.script["shop.internal", "AAAA"] = records("AAAA")
    assert ask(nameserver, "shop").trouble == ""


def test_an_app_whose_lists_come_empty_without_a_string_is_well(nameserver: ScriptedDns) -> None:
    nameserver.app("shop", "fdaa:0:18:0:1::7", deployed=f"{UP} ams", started="")
    for name in ("vms.shop.internal", "regions.shop.internal"):
        nameserver.script[name, "TXT"] = empty_texts()
    found = ask(nameserver, "shop")
    assert found.trouble == ""
    assert found.machines == (MachineRow(UP, "ams", started=False, private_ip=""),)


def test_an_organisation_without_peers_is_well_though_the_list_has_no_string(nameserver: ScriptedDns) -> None:
    half_asleep(nameserver)
    nameserver.script["_peer.internal", "TXT"] = empty_texts()
    assert survey_organisation(Resolver([nameserver.server]).ask).trouble == ""


def test_an_app_that_does_not_exist_is_said_so(nameserver: ScriptedDns) -> None:
    nameserver.script["_apps.internal", "TXT"] = records("TXT", "other")
    found = ask(nameserver, "shop")
    assert found.trouble.startswith("no app shop in this private network: no such name (NXDOMAIN) from 127.0.0.1")


@pytest.mark.parametrize("name", ["top1.nearest.of.shop.internal", "app.process.shop.internal"])
def test_a_name_the_nameserver_does_not_know_is_no_fault_of_the_app(nameserver: ScriptedDns, name: str) -> None:
    half_asleep(nameserver)
    nameserver.script = {key: script for key, script in nameserver.script.items() if key[0] != name}
    assert ask(nameserver, "shop").trouble == ""


def test_one_failing_name_makes_the_app_not_well(nameserver: ScriptedDns) -> None:
    half_asleep(nameserver)
    nameserver.script["regions.shop.internal", "TXT"] = code(dns.rcode.SERVFAIL)
    assert "regions.shop.internal TXT" in ask(nameserver, "shop").trouble
    assert "SERVFAIL" in ask(nameserver, "shop").trouble


def test_a_silent_nameserver_is_asked_one_question_only(nameserver: ScriptedDns) -> None:
    nameserver.script["shop.flycast", "AAAA"] = silence
    found = survey("shop", Resolver([nameserver.server], try_seconds=0.05).ask)
    assert found.trouble.startswith("no nameserver answers: shop.flycast AAAA from ")
    assert {name for name, _, _ in nameserver.asked} == {"shop.flycast"}


def test_one_name_is_asked_for_both_types(nameserver: ScriptedDns) -> None:
    nameserver.script["shop.flycast", "AAAA"] = records("AAAA", "fdaa:0:18:0:1::7")
    nameserver.script["shop.flycast", "TXT"] = records("TXT")
    found = ask(nameserver, "shop.flycast")
    assert [answer.outcome for answer in found.answers] == [Outcome.OK, Outcome.NODATA]
    assert (found.trouble, found.remark) == ("", "")


def test_a_misspelt_name_is_asked_for_all_the_same(nameserver: ScriptedDns) -> None:
    found = ask(nameserver, "shop.flycat")
    assert "did you mean shop.flycast?" in found.remark
    assert "no shop.flycat in this private network" in found.trouble
    assert len(nameserver.asked) == 2


def test_hostile_lists_are_not_followed(nameserver: ScriptedDns) -> None:
    half_asleep(nameserver)
    nameserver.script["all.vms.shop.internal", "TXT"] = raw_text(b"\x1b[2J ../..,x.y a.b")
    found = ask(nameserver, "shop")
    assert len(found.machines) == 2
    assert not any("\x1b" in name or "x.y" in name for name, _, _ in nameserver.asked)


def test_the_record_has_the_documented_fields(nameserver: ScriptedDns) -> None:
    half_asleep(nameserver)
    record = names_record([ask(nameserver, "shop")])
    assert " ".join(record) == "schema_version command ok surveys"
    assert (record["schema_version"], record["command"], record["ok"]) == (1, "names", True)
    one = record["surveys"][0]
    assert " ".join(one) == "subject ok trouble remark machines answers"
    assert one["machines"][1] == {"machine_id": ASLEEP, "region": "cdg", "started": False, "private_ip": None}
    flycast = one["answers"][0]
    assert " ".join(flycast) == (
        "name type meaning outcome outcome_text ttl_seconds elapsed_ms server over_tcp failures records"
    )
    assert flycast["records"] == [
        {
            "address": "fdaa:0:18:0:1::7",
            "kind": "flycast",
            "network": "fdaa:0:18::/48",
            "host": None,
            "machine": None,
        }
    ]


@pytest.mark.parametrize("rcode", [dns.rcode.REFUSED, dns.rcode.NOTIMP])
def test_a_refused_name_is_trouble(nameserver: ScriptedDns, rcode: dns.rcode.Rcode) -> None:
    for kind in ("AAAA", "TXT"):
        nameserver.script["shop.internal", kind] = code(rcode)
    assert "shop.internal AAAA" in ask(nameserver, "shop.internal").trouble


def test_the_record_has_each_nameserver_that_did_not_tell(nameserver: ScriptedDns) -> None:
    closed = closed_server()
    nameserver.script["shop.internal", "AAAA"] = code(dns.rcode.NOTIMP)
    found = survey("shop.internal", Resolver([closed, nameserver.server], try_seconds=5.0).ask)
    assert names_record([found])["surveys"][0]["answers"][0]["failures"] == [
        {
            "server": str(closed),
            "outcome": "unreachable",
            "outcome_text": "the nameserver cannot be reached",
            "reason": "connection refused",
        },
        {
            "server": str(nameserver.server),
            "outcome": "rejected",
            "outcome_text": "the nameserver did not take the question",
            "reason": "NOTIMP",
        },
    ]


def test_a_nameserver_that_is_passed_over_is_told_once_and_is_no_trouble(nameserver: ScriptedDns) -> None:
    half_asleep(nameserver)
    closed = closed_server()
    found = survey("shop", Resolver([closed, nameserver.server], try_seconds=5.0).ask)
    assert found.trouble == ""
    assert found.passed_over == (
        f"{closed}: the nameserver cannot be reached: connection refused; the next one was asked",
    )
