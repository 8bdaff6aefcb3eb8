"""Machines that sleep and wake: nobody's first request fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running import LAB, RunningLab

pytestmark = pytest.mark.lab

APP = "private-svc"
CLIENT = Path(__file__).with_name("client.py")
PATIENT_APP = Path(__file__).with_name("patient.py")
PATIENT = """\
app = "patient"
primary_region = "ams"

[http_service]
  internal_port = 8080
  auto_stop_machines = "stop"
  auto_start_machines = true
  [http_service.concurrency]
    type = "requests"
    soft_limit = 1
"""


def ask(lab: RunningLab, *arguments: str, seconds: float = 110) -> dict[str, Any]:
    """Run the test client on the shell Machine; return its report."""
    done = lab.on("shell", sys.executable, str(CLIENT), *arguments, seconds=seconds)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}{lab.tail()}"
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_a_hundred_requests_at_once_to_a_sleeping_app_cause_one_start_and_all_succeed() -> None:
    with RunningLab("--autostop-interval", "0.5") as lab:
        lab.wait_for(r"Main child exited with code: 0")
        report = ask(lab, "burst", APP, "100")
        assert report["statuses"] == {"200": 100}, f"{report}{lab.tail()}"
        starts = [line for line in lab.lines if "Starting machine" in line]
        assert len(starts) == 2, f"one start for the deploy and one for the burst, got {starts}"


@pytest.mark.parametrize("times", [10, pytest.param(200, marks=pytest.mark.long)])
def test_again_and_again_asleep_and_woken_without_a_failed_request(times: int) -> None:
    with RunningLab("--autostop-interval", "0.05") as lab:
        report = ask(lab, "cycles", APP, str(times), seconds=2 * times + 60)
        assert report["statuses"] == {"200": times}, f"{report}{lab.tail()}"
        assert report["cold"] == times, f"every request must have been the one that woke the Machine: {report}"


def test_hello_wakes_the_machine_too() -> None:
    with RunningLab("--autostop-interval", "0.2") as lab:
        lab.wait_for(r"Main child exited with code: 0")
        assert lab.shell(f"nc -w10 {APP}.flycast 1848 </dev/null") == "hello\n"


def patient_app(tmp_path: Path, *options: str) -> RunningLab:
    """Bring up an app that answers when its client lets it, with one request a Machine as its soft limit."""
    config = tmp_path / "fly.toml"
    config.write_text(PATIENT)
    return RunningLab("--command", f"{sys.executable} {PATIENT_APP} 8080", *options, configs=[config])


def test_a_machine_with_a_request_under_way_stays_awake(tmp_path: Path) -> None:
    with patient_app(tmp_path, "--autostop-interval", "0.2") as lab:
        lab.wait_for(r"Main child exited with code: 0")
        report = ask(lab, "hold", "patient", "10")
        assert report == {"passes": 10, "states": ["started"]}, lab.tail()


def test_the_log_tells_a_stop_and_a_wake_in_fly_s_words() -> None:
    with RunningLab("--autostop-interval", "0.5") as lab:
        lab.wait_for(
            r"proxy\[\w{14}\] ams \[info\] App private-svc has excess capacity, autostopping machine \w{14}\. "
            r"0 out of 1 machines left running \(region=ams, process group=app\)"
        )
        lab.wait_for(r"Sending signal SIGINT to main child process")
        lab.wait_for(r"Main child exited with code: 0")
        since = len(lab.lines)
        lab.shell(f"curl -sS http://{APP}.flycast/healthz")
        for words in (r"Starting machine", r"machine started in \d+ms", r"machine became reachable in \d+"):
            lab.wait_for(words, since)


def test_internal_names_answer_for_started_machines_only_and_flycast_always() -> None:
    with RunningLab("--autostop-interval", "0.2") as lab:
        lab.wait_for(r"Main child exited with code: 0")
        said = lab.shell(f"dig aaaa {APP}.internal")
        assert "status: NOERROR" in said
        assert "ANSWER: 0" in said
        assert lab.shell(f"dig +short txt vms.{APP}.internal").strip() in {"", '""'}
        assert "ams" in lab.shell(f"dig +short txt all.vms.{APP}.internal")
        assert lab.shell(f"dig +short aaaa {APP}.flycast").startswith("fdaa:")
        done = lab.on("shell", "curl", "-sS", f"http://{APP}.internal:8080")
        assert done.returncode == 6, "a sleeping Machine has no .internal name, so it cannot be woken that way"


def test_the_probe_times_a_cold_start_and_proves_it() -> None:
    with RunningLab() as lab:
        machine_id = lab.status()["machines"][0]["id"]
        subprocess.run([*LAB, "machine", "stop", machine_id, "--lab", str(lab.process.pid)], check=True, timeout=60)
        report = json.loads(lab.shell(f"{sys.executable} -m shell wake {APP} --warm 2 --json"))
        assert report["schema_version"] == 2, report
        cold, *rest = report["cycles"][0]["requests"]
        assert (cold["kind"], cold["proof"], cold["status"]) == ("cold", "proven", 200), cold
        assert cold["age_ms"] < cold["total_ms"], cold
        assert [(request["kind"], request["proof"]) for request in rest] == [
            *[("warm", "proven")] * 2,
            *[("kept", "proven")] * 2,
        ], rest


def test_load_above_the_soft_limit_wakes_a_second_machine(tmp_path: Path) -> None:
    with patient_app(tmp_path, "--autostop-interval", "0.2", "--scale", "2") as lab:
        lab.wait_for(r"1 out of 2 machines left running")
        lab.wait_for(r"0 out of 2 machines left running")
        report = ask(lab, "hold-two", "patient")
        assert report == {"started": [1, 2]}, lab.tail()
