"""Faults that are switched on: what the client gets, and the log line that names them."""

from __future__ import annotations

import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.e2e.running import DEADLINE_SECONDS, LAB, RunningLab
from tests.e2e.test_lifecycle import command, get, machine_of, moody

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.long]


def with_faults(directory: Path, *faults: str, more: str = "") -> RunningLab:
    config = moody(directory, "plain", more)
    config.write_text('kill_timeout = "1s"\n' + config.read_text())
    return RunningLab(*(f"--fault={fault}" for fault in faults), configs=[config])


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    """A lab where everything comes late."""
    directory = tmp_path_factory.mktemp("slow")
    with with_faults(directory, "slow-bind=0.7", "dns-delay=300", "ignore-sigint", "stop-race=400") as running:
        yield running


def test_an_app_that_binds_late_makes_the_first_request_late_and_no_worse(slow: RunningLab) -> None:
    command(slow, "stop", machine_of(slow, "plain")["id"])
    since = len(slow.lines)
    began = time.monotonic()
    assert get(slow, "plain", "/") == "ok\n"
    assert time.monotonic() - began > 0.7
    slow.wait_for(r"lab\[\w+\] ams \[warn\] fault slow-bind: the app starts 0\.7s late", since)
    slow.wait_for("machine became reachable in", since)


def test_an_app_that_ignores_its_kill_signal_is_killed_after_the_timeout(slow: RunningLab) -> None:
    get(slow, "plain", "/")
    since = len(slow.lines)
    began = time.monotonic()
    command(slow, "stop", machine_of(slow, "plain")["id"])
    assert time.monotonic() - began > 1
    slow.wait_for("fault ignore-sigint: the app does not hear SIGINT", since)
    slow.wait_for("Machine did not stop within 1s, sending signal SIGKILL", since)
    assert machine_of(slow, "plain")["state"] == "stopped", "an end that was asked for is no failure"


def test_answers_of_the_nameserver_come_late(slow: RunningLab) -> None:
    took = re.search(r"Query time: (\d+) msec", slow.shell("dig aaaa plain.flycast"))
    assert took is not None
    assert int(took[1]) >= 300
    slow.wait_for("fault dns-delay: an answer leaves 300ms late")


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    """A lab where apps crash and names tell of the past."""
    directory = tmp_path_factory.mktemp("broken")
    with with_faults(directory, "crash-on-start=1", "crash-mid-request=200", "stale-dns=3") as running:
        yield running


def test_apps_that_crash_and_names_that_lag(broken: RunningLab) -> None:
    """One story: names lag behind a stop, the first start crashes, the second serves, a slow request kills."""
    machine_id = machine_of(broken, "plain")["id"]
    wait_until_told(broken, str(machine_id), there=True)
    command(broken, "stop", machine_id)
    assert str(machine_id) in broken.shell("dig +short txt vms.plain.internal"), "names know of the stop too soon"
    wait_until_told(broken, str(machine_id), there=False)
    since = len(broken.lines)
    assert get(broken, "plain", "/") == "ok\n", "one crash at the start must not reach the client"
    broken.wait_for("fault crash-on-start: start 1 of 1 that end at once", since)
    since = len(broken.lines)
    assert get(broken, "plain", "/slow/0.01") == "ok\n", "a quick request must be served"
    status = broken.shell("curl -s -o /dev/null -w '%{http_code}' -d x http://plain.flycast/slow/9")
    assert status == "502", broken.tail()
    broken.wait_for("fault crash-mid-request: the app is killed, busy for 200ms", since)
    broken.wait_for(r"\[PU02\]", since)
    broken.wait_for("machine exited with exit code 137, restarting", since)


def wait_until_told(lab: RunningLab, machine_id: str, *, there: bool) -> None:
    """Ask until the names tell that the Machine is started, or not."""
    test = "" if there else "! "
    tells = f"dig +short txt vms.plain.internal | grep -q {machine_id}"
    lab.shell(f"for n in $(seq 500); do if {test}{tells}; then exit; fi; done; exit 1")


def test_an_app_that_never_binds_is_told_by_the_deploy_and_lost_questions_time_out_over_udp(tmp_path: Path) -> None:
    with with_faults(tmp_path, "never-bind", "lost-dns=100") as lab:
        lab.wait_for("fault never-bind: the app does not start")
        lab.wait_for(r"does not listen on 0\.0\.0\.0:8080 5 s after its start; requests over Flycast will fail")
        assert lab.on("shell", "dig", "+time=1", "+tries=1", "plain.flycast", "aaaa").returncode == 9
        assert lab.shell("dig +tcp +short aaaa plain.flycast").startswith("fdaa:")
        lab.wait_for("fault lost-dns: a question is not answered")


def test_faults_are_switched_from_another_terminal(tmp_path: Path) -> None:
    with with_faults(tmp_path) as lab:
        fault = [*LAB, "fault", "--lab", str(lab.process.pid)]

        def switched(*changes: str) -> tuple[int, str]:
            done = subprocess.run([*fault, *changes], capture_output=True, text=True, timeout=60, check=False)
            return done.returncode, done.stdout + done.stderr

        assert switched() == (0, "faults on: none\n")
        assert switched("lost-dns=100", "crash-mid-request=50") == (
            0,
            "faults on: crash-mid-request=50, lost-dns=100\n",
        )
        assert lab.on("shell", "dig", "+time=1", "+tries=1", "plain.flycast", "aaaa").returncode == 9
        assert switched("lost-dns=off") == (0, "faults on: crash-mid-request=50\n")
        assert lab.shell("dig +short aaaa plain.flycast").startswith("fdaa:")
        since = len(lab.lines)
        lab.on("shell", "curl", "-s", "-d", "x", "http://plain.flycast/slow/9")
        lab.wait_for("fault crash-mid-request: the app is killed, busy for 50ms", since)
        assert switched("crash-mid-request=off", "stale-dns=3") == (0, "faults on: stale-dns=3\n")
        assert switched("lost=1")[0] == 2
        assert switched("clock-jump=3") == (
            2, "flycast-lab: --fault clock-jump: a lab that is up cannot switch it; give it to 'flycast-lab up'\n"
        )  # fmt: skip


def test_requests_that_race_a_stop_all_succeed(tmp_path: Path) -> None:
    """The app is told to stop, and for 200 ms the proxy goes on sending it requests."""
    stops = 4
    with RunningLab("--fault=stop-race=200") as lab, ThreadPoolExecutor() as pool:
        machine_id = str(machine_of(lab, "private-svc")["id"])
        since = len(lab.lines)
        going_on = tmp_path / "going-on"
        going_on.touch()
        ask = "curl -s -m 30 -o /dev/null -w '%{http_code}\\n' http://private-svc.flycast/whoami || echo failed"
        asked = [pool.submit(lab.shell, f"while test -e {going_on}; do {ask}; done") for _ in range(2)]
        try:
            for _ in range(stops):
                command(lab, "stop", machine_id)
        finally:
            going_on.unlink()
        answers = "".join(each.result() for each in asked).split()
        assert set(answers) == {"200"}, answers
        assert sum("fault stop-race: the proxy does not know for 200ms" in line for line in lab.lines[since:]) == stops


def test_far_machines_are_far_or_the_kernel_is_told_to_lack_it(tmp_path: Path) -> None:
    config = moody(tmp_path, "plain")
    far = "ping -c1 $(dig +short aaaa cdg.plain.internal) | grep -o 'time=[0-9]*'"
    done = subprocess.run(
        [*LAB, "run", f"--config={config}", "--scale=ams=1,cdg=1", "--fault=far-delay=60", "--", "sh", "-c", far],
        capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
    )  # fmt: skip
    if done.returncode:
        assert done.stderr == (
            "flycast-lab: --fault far-delay and far-loss: expected a kernel with sch_netem (CONFIG_NET_SCH_NETEM), "
            "got: No such file or directory\n"
        )
    else:
        assert int(done.stdout.partition("=")[2]) >= 120, "60 ms each way"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("slow-bnd=1", "--fault: expected one of slow-bind, never-bind, crash-on-start, "),
        ("slow-bind", "--fault slow-bind=SECONDS: expected a number above 0, got ''"),
        ("never-bind=1", "--fault never-bind: expected no value, got '1'"),
        ("clock-jump=soon", "--fault clock-jump=SECONDS: expected a number above 0, got 'soon'"),
    ],
)
def test_a_fault_there_is_not_is_a_usage_error(fault: str, said: str) -> None:
    done = subprocess.run(
        [*LAB, "run", f"--fault={fault}", "--", "true"],
        capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(f"flycast-lab: {said}"), done.stderr
    assert done.stderr.count("\n") == 1
