"""Machines that crash, fall ill, eat too much, and begin afresh."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.running import DEADLINE_SECONDS, LAB, RunningLab

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.long]

MOODY_APP = Path(__file__).with_name("moody.py")
MOODY = """\
app = "{name}"
primary_region = "ams"
[processes]
  app = "{python} {program} 8080"
[http_service]
  internal_port = 8080
  processes = ["app"]
  [http_service.concurrency]
    type = "requests"
"""
CHECKED = '[[http_service.checks]]\ninterval = "1s"\ngrace_period = "0s"\ntimeout = "2s"\npath = "/health"\n'
SMALL = '[[vm]]\nmemory = "100mb"\n'


def moody(directory: Path, name: str, more: str = "") -> Path:
    """Write a fly.toml of an app that does what it is asked."""
    config = directory / f"{name}.toml"
    config.write_text(MOODY.format(name=name, python=sys.executable, program=MOODY_APP) + more)
    return config


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("moody")


@pytest.fixture(scope="module")
def lab(directory: Path) -> Iterator[RunningLab]:
    configs = [
        moody(directory, "plain", SMALL),
        moody(directory, "checked", CHECKED),
        moody(directory, "always", '[[restart]]\npolicy = "always"\n'),
        moody(directory, "never", '[[restart]]\npolicy = "never"\n'),
    ]
    with RunningLab(configs=configs) as running:
        yield running


def machine_of(lab: RunningLab, app: str) -> dict[str, object]:
    (machine,) = (machine for machine in lab.status()["machines"] if machine["app"] == app)
    return dict(machine)


def get(lab: RunningLab, app: str, path: str) -> str:
    return lab.shell(f"curl -sS http://{app}.flycast{path}")


def end(lab: RunningLab, app: str, status: int) -> int:
    """Let the app exit by itself; return how many lines the log had before."""
    since = len(lab.lines)
    lab.on("shell", "curl", "-s", "-XPOST", f"http://{app}.flycast/exit/{status}")
    return since


def command(lab: RunningLab, verb: str, machine_id: object) -> None:
    done = subprocess.run(
        [*LAB, "machine", verb, str(machine_id), "--lab", str(lab.process.pid)],
        capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_an_app_that_fails_is_restarted_by_itself(lab: RunningLab) -> None:
    since = end(lab, "plain", 3)
    lab.wait_for(r"runner\[\w+\] ams \[info\] machine exited with exit code 3, restarting in", since)
    lab.wait_for("machine started in", since)


def test_an_app_that_ends_well_stays_stopped_unless_it_is_always_restarted(lab: RunningLab) -> None:
    since = end(lab, "checked", 0)
    lab.wait_for(r"machine exited with exit code 0, not restarting", since)
    assert machine_of(lab, "checked")["state"] == "stopped"
    since = end(lab, "always", 0)
    lab.wait_for("machine exited with exit code 0, restarting in", since)
    lab.wait_for("machine started in", since)


def test_an_app_that_is_never_restarted_waits_for_a_request(lab: RunningLab) -> None:
    since = end(lab, "never", 1)
    lab.wait_for("machine restart policy set to 'never', not restarting", since)
    assert get(lab, "never", "/") == "ok\n"


@pytest.mark.parametrize("where", ["/etc", "/var/tmp", "/tmp", "the app's directory"])  # noqa: S108
def test_what_an_app_writes_outlasts_a_suspension_not_a_stop_and_never_reaches_the_host(
    lab: RunningLab, directory: Path, tmp_path: Path, where: str
) -> None:
    mark = (directory if where == "the app's directory" else Path(where)) / f"flycast-lab-{tmp_path.name}"
    machine_id = machine_of(lab, "always")["id"]
    command(lab, "stop", machine_id)
    for verb, expected in (("", "False"), ("suspend", "True"), ("stop", "False")):
        if verb:
            command(lab, verb, machine_id)
        assert get(lab, "always", f"/mark?{mark}") == f"was there: {expected}\n", f"after {verb or 'the start'}"
    assert not mark.exists(), "the Machine wrote on the host"


def test_a_machine_that_holds_more_than_its_memory_is_killed_and_restarted(lab: RunningLab) -> None:
    assert get(lab, "plain", "/eat/20") == "ok\n"
    since = len(lab.lines)
    lab.shell("curl -s http://plain.flycast/eat/200 || true")
    lab.wait_for(r"app\[\w+\] ams \[error\] Out of memory: Killed process \d+ \(python[\d.]*\)", since)
    lab.wait_for("machine exited with exit code 137, restarting in", since)


def test_health_checks_come_from_the_gateway_and_tell_of_every_change(lab: RunningLab) -> None:
    get(lab, "checked", "/well")
    deadline = time.monotonic() + DEADLINE_SECONDS
    while (checks := machine_of(lab, "checked")["checks"]) != "1 total, 1 passing":
        assert time.monotonic() < deadline, f"expected the check to pass again, got {checks}{lab.tail()}"
    lab.wait_for(r"health\[\w+\] ams \[info\] Health check on port 8080 is now passing\.")
    peers = get(lab, "checked", "/peers").split()
    assert all(peer.startswith("172.19.") for peer in peers), peers
    since = len(lab.lines)
    get(lab, "checked", "/sick")
    lab.wait_for(
        r"health\[\w+\] ams \[error\] Health check on port 8080 has failed\. Your app is not responding properly\. "
        r"Services exposed on ports \[80, 443\] will have intermittent failures until the health check passes\.",
        since,
    )
    assert machine_of(lab, "checked")["checks"] == "1 total, 1 critical"
    refused = lab.shell("curl -s -o /dev/null -w '%{http_code}' http://checked.flycast/")
    assert refused == "503", "the only Machine fails its check"
    lab.on(str(machine_of(lab, "checked")["id"]), "curl", "-s", "http://localhost:8080/well")
    lab.wait_for("Health check on port 8080 is now passing", since)
    assert get(lab, "checked", "/") == "ok\n"


def test_health_checks_keep_no_machine_awake(tmp_path: Path) -> None:
    config = moody(tmp_path, "checked", CHECKED)
    port = "  internal_port = 8080\n"
    config.write_text(config.read_text().replace(port, f'{port}  auto_stop_machines = "stop"\n'))
    with RunningLab("--autostop-interval", "1.5", configs=[config]) as lab:
        lab.wait_for("Health check on port 8080 is now passing")
        since = len(lab.lines)
        lab.wait_for("Main child exited with code: 0")
        assert "has failed" not in "\n".join(lab.lines[since:]), "a Machine that stops is not ill"
