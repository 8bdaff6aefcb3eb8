"""Faults put into a real lab: `doctor` names each, and no other."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shell.doctor.faults import Fault
from tests.e2e.running import RunningLab

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.long]

DOCTOR = (sys.executable, "-m", "shell", "doctor")
ALTERED_DNS = (sys.executable, str(Path(__file__).with_name("altered_dns.py")))
BOUND = Path(__file__).with_name("bound.py")
NO_HELLO = ("--hello-port", "0")

BOUND_TOML = """\
app = "{app}"
primary_region = "ams"

[processes]
  app = "{python} {program} {address} 8080"

[http_service]
  internal_port = {internal_port}
  {keys}
"""
SERVICE_TOML = """\
app = "{app}"
primary_region = "ams"

[env]
  HELLO_PORT = "{hello_port}"

[processes]
  app = "{python} -m private_svc"

[http_service]
  internal_port = 8080

[[services]]
  internal_port = 1848
  [[services.ports]]
    port = 1848
"""


@dataclass(frozen=True)
class Case:
    """A fault: which app has it, how `doctor` is run there, and what it must say."""

    name: str
    fault: Fault | None
    rung: str
    argv: tuple[str, ...]

    def __str__(self) -> str:
        return self.name


def doctor(app: str, *options: str) -> tuple[str, ...]:
    return (*DOCTOR, app, *options, "--json")


def with_altered_dns(alteration: str, app: str) -> tuple[str, ...]:
    return (*ALTERED_DNS, alteration, "--", *doctor(app))


CASES = [
    Case("well", None, "not public", doctor("well")),
    Case("no nameserver", Fault.NO_NAMESERVER, "private nameserver", doctor("well", "--dns", "::1")),
    Case("silent nameserver", Fault.NO_NAMESERVER, "private nameserver", doctor("well", "--dns", "fdaa:9::3")),
    Case(
        "resolver of the Internet",
        Fault.PUBLIC_NAMESERVER,
        "private nameserver",
        with_altered_dns("_apps.internal=NXDOMAIN", "well"),
    ),
    Case("wrong organisation", Fault.WRONG_ORGANISATION, "organisation", doctor("somebody-elses")),
    Case("misspelt", Fault.MISSPELT_APP, "organisation", doctor("wrong-prot")),
    Case("no app", Fault.NOT_DEPLOYED, "deployed", with_altered_dns("all.vms.well.internal=NODATA", "well")),
    Case(
        "no Flycast address",
        Fault.NO_FLYCAST_ADDRESS,
        "Flycast address",
        with_altered_dns("well.flycast=NXDOMAIN", "well"),
    ),
    Case("no service", Fault.NO_SERVICE, "port open", doctor("well", "--port", "81")),
    Case("force_https", Fault.FORCE_HTTPS, "HTTP answer", doctor("force-https")),
    Case("asleep", Fault.NO_AUTOSTART, "HTTP answer", doctor("asleep")),
    Case(
        "wrong internal port", Fault.WRONG_INTERNAL_PORT, "HTTP answer", doctor("wrong-port", "--internal-port", "9999")
    ),
    Case("6PN only", Fault.IPV6_ONLY, "HTTP answer", doctor("six-pn")),
    Case("V6ONLY", Fault.IPV6_ONLY, "HTTP answer", doctor("v6only")),
    Case("IPv4 only", Fault.IPV4_ONLY, "direct 6PN port", doctor("ipv4")),
    Case("hello port closed", Fault.HELLO_CLOSED, "hello", doctor("hello-closed")),
    Case("no hello service", Fault.HELLO_NO_SERVICE, "hello", doctor("dual")),
]
# app, what it binds, and what `doctor --here` says of port 8080 inside its Machine
HERE = [
    ("dual", "::", None),
    ("ipv4", "0.0.0.0", Fault.IPV4_ONLY),
    ("six-pn", "fly-local-6pn", Fault.SIX_PN_ONLY),
    ("v6only", "v6only", Fault.V6ONLY),
    ("localhost", "127.0.0.1", Fault.LOCALHOST_ONLY),
    ("nothing", "nothing", Fault.NO_SOCKET),
]


def write_configs(directory: Path) -> list[Path]:
    def bound(app: str, address: str, internal_port: int = 8080, keys: str = "") -> Path:
        config = directory / f"{app}.toml"
        config.write_text(
            BOUND_TOML.format(
                app=app, python=sys.executable, program=BOUND, address=address, internal_port=internal_port, keys=keys
            )
        )
        return config

    def service(app: str, hello_port: int) -> Path:
        config = directory / f"{app}.toml"
        config.write_text(SERVICE_TOML.format(app=app, hello_port=hello_port, python=sys.executable))
        return config

    return [
        service("well", 1848),
        service("hello-closed", 1849),
        bound("force-https", "::", keys="force_https = true"),
        bound("asleep", "::", keys='auto_stop_machines = "stop"\n  auto_start_machines = false'),
        bound("wrong-port", "::", 9999),
        *(bound(app, address) for app, address, _ in HERE),
    ]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    configs = write_configs(tmp_path_factory.mktemp("doctor"))
    with RunningLab("--autostop-interval", "0.5", configs=configs) as running:
        running.wait_for("App asleep has excess capacity")
        yield running


@pytest.fixture(scope="module")
def reports(lab: RunningLab) -> dict[str, dict[str, Any]]:
    """What `doctor` said in every case, all asked at once because a failure takes Fly's patience."""
    with ThreadPoolExecutor(len(CASES)) as pool:
        return dict(zip(map(str, CASES), pool.map(lambda case: report_of(lab, *case.argv), CASES), strict=True))


def report_of(lab: RunningLab, *argv: str, machine: str = "shell") -> dict[str, Any]:
    done = lab.on(machine, *argv)
    assert done.returncode in {0, 1}, f"{argv}: exit {done.returncode}\n{done.stdout}{done.stderr}{lab.tail()}"
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["ok"] is (done.returncode == 0), f"exit {done.returncode} and {report}"
    return report


def faults_in(report: dict[str, Any]) -> list[str]:
    return [rung["fault_text"] for rung in report["rungs"] if rung["fault"]]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_fault_is_named_and_no_other(lab: RunningLab, reports: dict[str, dict[str, Any]], case: Case) -> None:
    report = reports[str(case)]
    last = report["rungs"][-1]
    assert faults_in(report) == ([case.fault] if case.fault else []), f"{report['rungs']}{lab.tail()}"
    assert last["rung"] == case.rung, f"expected the ladder to end there, got {last}{lab.tail()}"
    assert all(rung["verdict"] != "skipped" for rung in report["rungs"]) or case.name != "well", report["rungs"]


def test_the_wrong_internal_port_is_named_with_the_right_one(reports: dict[str, dict[str, Any]]) -> None:
    assert reports["wrong internal port"]["rungs"][-1]["command"].startswith("internal_port = 8080 in fly.toml")


def test_a_public_address_is_named_with_the_address() -> None:
    with RunningLab("--public") as lab:
        report = report_of(lab, *doctor("private-svc"))
        assert faults_in(report) == [Fault.PUBLIC], f"{report['rungs']}{lab.tail()}"
        assert "fly ips release 2001:db8:f17::2 -a private-svc" in report["rungs"][-1]["command"]


@pytest.mark.parametrize(("app", "address", "fault"), HERE, ids=[app for app, *_ in HERE])
def test_inside_its_machine_each_way_to_bind_is_named(
    lab: RunningLab, app: str, address: str, fault: Fault | None
) -> None:
    machine = next(machine["id"] for machine in lab.status()["machines"] if machine["app"] == app)
    report = report_of(lab, *DOCTOR, "--here", *NO_HELLO, "--json", machine=machine)
    assert faults_in(report) == ([fault] if fault else []), f"{address}: {report}"
    assert report["app"] == app
    assert all("python" in socket["process"] for socket in report["sockets"]), report["sockets"]


def test_inside_a_machine_a_wrong_port_is_named_with_what_is_bound(lab: RunningLab) -> None:
    machine = next(machine["id"] for machine in lab.status()["machines"] if machine["app"] == "wrong-port")
    report = report_of(lab, *DOCTOR, "--here", "--internal-port=9999", *NO_HELLO, "--json", machine=machine)
    assert faults_in(report) == [Fault.WRONG_PORT], report
    assert "what listens here is on 8080" in report["rungs"][0]["cause"]
