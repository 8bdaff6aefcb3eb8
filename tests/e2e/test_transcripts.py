"""The transcripts of Fly's own walkthroughs, with the real programs, inside the lab."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.e2e.running import RunningLab

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab

APP = "private-svc"


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with RunningLab() as running:
        yield running


@pytest.fixture(scope="module")
def machine(lab: RunningLab) -> dict[str, str]:
    found: dict[str, str] = lab.status()["machines"][0]
    return found


@pytest.fixture(scope="module")
def flycast_ip(lab: RunningLab) -> str:
    return str(lab.status()["apps"][0]["flycast_ip"])


def test_nslookup_names_the_server_and_the_flycast_address(lab: RunningLab, flycast_ip: str) -> None:
    said = lab.shell(f"nslookup {APP}.flycast")
    assert re.search(r"^Server:\s+fdaa::3$", said, re.MULTILINE), said
    assert re.search(r"^Address:\s+fdaa::3#53$", said, re.MULTILINE), said
    assert f"Name:\t{APP}.flycast\nAddress: {flycast_ip}" in said


def test_ping_gets_both_answers_from_one_router_away(lab: RunningLab) -> None:
    said = lab.shell(f"ping -c2 -i0.2 {APP}.flycast")
    assert "2 packets transmitted, 2 received, 0% packet loss" in said
    assert said.count("ttl=63") == 2, said


@pytest.mark.parametrize(
    ("name", "kind"),
    [(f"{APP}.internal", "aaaa"), (f"ams.{APP}.internal", "aaaa"), ("vm", "aaaa"), (f"global.{APP}.internal", "aaaa")],
)
def test_internal_names_give_the_started_machine(
    lab: RunningLab, machine: dict[str, str], name: str, kind: str
) -> None:
    asked = f"{machine['id']}.vm.{APP}.internal" if name == "vm" else name
    assert lab.shell(f"dig +short {kind} {asked}").split() == [machine["private_ip"]]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("_apps.internal", APP),
        (f"vms.{APP}.internal", "{id} ams"),
        (f"all.vms.{APP}.internal", "{id} ams"),
        (f"regions.{APP}.internal", "ams"),
    ],
)
def test_txt_names_list_apps_machines_and_regions(
    lab: RunningLab, machine: dict[str, str], name: str, expected: str
) -> None:
    assert lab.shell(f"dig +short txt {name}").strip() == f'"{expected.format(**machine)}"'


def test_an_a_query_for_an_existing_name_is_empty_and_not_an_error(lab: RunningLab) -> None:
    said = lab.shell(f"dig a {APP}.internal")
    assert "status: NOERROR" in said
    assert "ANSWER: 0" in said


def test_an_unknown_app_does_not_exist(lab: RunningLab) -> None:
    assert "status: NXDOMAIN" in lab.shell("dig aaaa nosuch.internal")


def test_getent_and_tcp_queries_find_the_names_too(lab: RunningLab, flycast_ip: str) -> None:
    assert flycast_ip in lab.shell(f"getent ahosts {APP}.flycast")
    assert lab.shell(f"dig +tcp +short aaaa {APP}.flycast").strip() == flycast_ip


def test_curl_over_flycast_and_the_service_knows_it(lab: RunningLab) -> None:
    seen = json.loads(lab.shell(f"curl -sS -H 'Accept: application/json' http://{APP}.flycast/whoami"))
    assert seen["ingress"] == "flycast", seen
    shell_ip = lab.shell("getent hosts fly-local-6pn").split()[0]
    assert seen["client"] == shell_ip, "over Flycast the client is the shell Machine"


@pytest.mark.parametrize("where", [f"{APP}.internal:8080", "[6pn]:8080", "[flycast]:80"])
def test_curl_reaches_every_name_and_address(
    lab: RunningLab, machine: dict[str, str], flycast_ip: str, where: str
) -> None:
    host = where.replace("6pn", machine["private_ip"]).replace("flycast", flycast_ip)
    assert "200 OK" in lab.shell(f"curl -sS -I 'http://{host}'")


def test_directly_over_6pn_the_client_is_seen_and_its_headers_are_not_believed(
    lab: RunningLab,
) -> None:
    forged = "-H 'Fly-Client-IP: 203.0.113.9' -H 'X-Forwarded-For: 203.0.113.9'"
    url = f"http://{APP}.internal:8080/whoami"
    seen = json.loads(lab.shell(f"curl -sS {forged} -H 'Accept: application/json' {url}"))
    assert seen["ingress"] == "six_pn", seen
    assert seen["client"] == lab.shell("getent hosts fly-local-6pn").split()[0]


@pytest.mark.parametrize("host", ["localhost", "0.0.0.0", "fly-local-6pn", "127.0.0.1", "[::1]"])
def test_inside_the_machine_every_way_to_the_port_works(lab: RunningLab, machine: dict[str, str], host: str) -> None:
    done = lab.on(machine["id"], "curl", "-sS", "-I", f"http://{host}:8080")
    assert done.stdout.startswith("HTTP/1.1 200 OK"), done.stdout + done.stderr + lab.tail()


def test_ss_shows_one_dual_stack_socket_a_port(lab: RunningLab, machine: dict[str, str]) -> None:
    listening = lab.on(machine["id"], "ss", "-Htln").stdout.split()
    assert listening.count("*:8080") == listening.count("*:1848") == 1, listening


@pytest.mark.parametrize(
    "where", [f"{APP}.flycast 1848", f"{APP}.internal 1848", "6pn 1848", "flycast 1848"], ids=lambda w: w.split()[0]
)
def test_hello_over_flycast_and_6pn_also_when_the_client_speaks_first(
    lab: RunningLab, machine: dict[str, str], flycast_ip: str, where: str
) -> None:
    place = where.replace("6pn", machine["private_ip"])
    place = place if ".flycast" in place else place.replace("flycast", flycast_ip)
    assert lab.shell(f"echo | nc -w5 {place}") == "hello\n"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_hello_inside_the_machine_over_ipv4_and_ipv6(lab: RunningLab, machine: dict[str, str], host: str) -> None:
    done = lab.on(machine["id"], "sh", "-c", f"echo | nc -w5 {host} 1848")
    assert done.stdout == "hello\n", done.stderr + lab.tail()


def test_a_port_that_no_service_has_is_refused_on_the_flycast_address(lab: RunningLab) -> None:
    done = lab.on("shell", "curl", "-sS", f"http://{APP}.flycast:8080")
    assert done.returncode == 7, "curl: couldn't connect"


def test_a_machine_has_the_files_and_variables_fly_gives_it(lab: RunningLab, machine: dict[str, str]) -> None:
    script = "cat /etc/hosts /etc/resolv.conf; hostname; env"
    said = lab.on(machine["id"], "sh", "-c", script).stdout
    assert f"{machine['private_ip']}\tfly-local-6pn" in said
    assert "nameserver fdaa::3" in said
    for line in (machine["id"], f"FLY_PRIVATE_IP={machine['private_ip']}", f"FLY_APP_NAME={APP}", "FLY_REGION=ams"):
        assert line in said.splitlines(), f"{line!r} is missing in:\n{said}"
