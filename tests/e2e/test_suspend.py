"""Machines that are suspended and resumed: by autostop, from another terminal, and by themselves over `/.fly/api`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.running import DEADLINE_SECONDS, LAB, PROJECT, RunningLab

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab

COUNTING_APP = Path(__file__).with_name("counting.py")
COUNTING = """\
app = "counting"
primary_region = "ams"
[http_service]
  internal_port = 8080
  auto_stop_machines = "suspend"
  [http_service.concurrency]
    type = "requests"
"""


def counting_app(directory: Path, *options: str) -> RunningLab:
    """Bring up an app whose answer tells whether its memory was kept."""
    config = directory / "fly.toml"
    config.write_text(COUNTING)
    return RunningLab("--command", f"{sys.executable} {COUNTING_APP} 8080", *options, configs=[config])


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    """A lab where nothing sleeps by itself."""
    with counting_app(tmp_path_factory.mktemp("counting")) as running:
        yield running


@pytest.fixture
def machine_id(lab: RunningLab) -> str:
    """The Machine, started."""
    found = str(lab.status()["machines"][0]["id"])
    told(machine(lab, "start", found))
    return found


def machine(lab: RunningLab, verb: str, machine_id: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LAB, "machine", verb, machine_id, "--lab", str(lab.process.pid)],
        capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
    )  # fmt: skip


def told(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(done: subprocess.CompletedProcess[str]) -> str:
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done
    return done.stderr.strip()


def count(lab: RunningLab) -> int:
    return int(lab.shell("curl -sS http://counting.flycast"))


def state(lab: RunningLab) -> str:
    return str(lab.status()["machines"][0]["state"])


def api(lab: RunningLab, machine_id: str, way: str, *options: str) -> tuple[int, dict[str, object]]:
    """Ask `/.fly/api` from inside the Machine."""
    url = f"http://flaps/v1/apps/counting/machines/{way}"
    curl = ("curl", "-sS", "--unix-socket", "/.fly/api", "-w", "%{http_code}", *options, url)
    done = lab.on(machine_id, *curl)
    assert done.returncode == 0, f"{done.stderr}{lab.tail()}"
    answer: dict[str, object] = json.loads(done.stdout[:-3])
    return int(done.stdout[-3:]), answer


def test_autostop_suspends_a_machine_and_the_next_request_resumes_it_with_its_memory(tmp_path: Path) -> None:
    with counting_app(tmp_path, "--autostop-interval", "0.2") as lab:
        since = 0
        for expected in (1, 2, 3):
            lab.wait_for(
                r"proxy\[\w{14}\] ams \[info\] App counting has excess capacity, autosuspending machine \w{14}\. "
                r"0 out of 1 machines left running \(region=ams, process group=app\)",
                since,
            )
            lab.wait_for(r"runner\[\w{14}\] ams \[info\] Machine suspended", since)
            since = len(lab.lines)
            assert count(lab) == expected, lab.tail()


def test_a_suspended_machine_is_gone_from_the_names_and_woken_over_flycast(lab: RunningLab, machine_id: str) -> None:
    before = count(lab)
    assert told(machine(lab, "suspend", machine_id)) == f"Machine {machine_id} is suspended\n"
    assert lab.shell("dig +short aaaa counting.internal; dig +short txt vms.counting.internal").strip() in {"", '""'}
    assert machine_id in lab.shell("dig +short txt all.vms.counting.internal")
    assert count(lab) == before + 1
    assert state(lab) == "started"


def test_stopping_a_suspended_machine_gives_up_its_memory(lab: RunningLab, machine_id: str) -> None:
    count(lab)
    told(machine(lab, "suspend", machine_id))
    assert told(machine(lab, "stop", machine_id)) == f"Machine {machine_id} is stopped\n"
    assert count(lab) == 1


def test_a_program_started_by_hand_is_suspended_with_its_machine(lab: RunningLab, machine_id: str) -> None:
    script = "trap 'echo resumed; exit 0' CONT; sleep 1000 >/dev/null & echo up; wait"
    command = [*LAB, "exec", "--lab", str(lab.process.pid), "--machine", machine_id, "--", "setsid", "-w", "sh", "-c"]
    with subprocess.Popen([*command, script], stdout=subprocess.PIPE, text=True) as by_hand:
        assert by_hand.stdout is not None
        assert by_hand.stdout.readline() == "up\n"
        told(machine(lab, "suspend", machine_id))
        told(machine(lab, "start", machine_id))
        assert by_hand.stdout.readline() == "resumed\n"
        assert by_hand.wait(DEADLINE_SECONDS) == 0


def test_start_and_stop_from_another_terminal(lab: RunningLab, machine_id: str) -> None:
    assert told(machine(lab, "stop", machine_id)) == f"Machine {machine_id} is stopped\n"
    assert told(machine(lab, "stop", machine_id)) == f"Machine {machine_id} is stopped\n"
    assert refused(machine(lab, "suspend", machine_id)) == (
        f"flycast-lab: Machine {machine_id} is stopped; only a started one can be suspended"
    )
    assert told(machine(lab, "start", machine_id)) == f"Machine {machine_id} is started\n"
    assert told(machine(lab, "start", machine_id)) == f"Machine {machine_id} is started\n"


def test_a_machine_there_is_not_is_told_with_those_there_are(lab: RunningLab, machine_id: str) -> None:
    assert refused(machine(lab, "stop", "nope")) == f"flycast-lab: no Machine 'nope'; there are: {machine_id}"


def test_nothing_can_be_run_on_a_suspended_machine(lab: RunningLab, machine_id: str) -> None:
    told(machine(lab, "suspend", machine_id))
    done = lab.on(machine_id, "true")
    assert refused(done) == f"flycast-lab: Machine {machine_id} is suspended; only a started one can run programs"


def test_a_machine_sees_itself_over_its_own_socket_and_no_other(lab: RunningLab, machine_id: str) -> None:
    status, answer = api(lab, machine_id, machine_id)
    assert (status, answer["id"], answer["state"]) == (200, machine_id, "started")
    assert api(lab, machine_id, "d5683210c7968e")[0] == 403
    assert api(lab, machine_id, "d5683210c7968e/suspend", "-XPOST")[0] == 403
    assert api(lab, machine_id, f"{machine_id}/start", "-XPOST")[0] == 404
    assert lab.on("shell", "test", "-e", "/.fly/api").returncode == 1, "the shell Machine has no app to ask about"


def test_the_socket_is_for_root_alone(lab: RunningLab, machine_id: str) -> None:
    assert lab.on(machine_id, "stat", "-c", "%u %a %F", "/.fly/api").stdout == "0 600 socket\n"


@pytest.mark.parametrize(("verb", "after"), [("suspend", "suspended"), ("stop", "stopped")])
def test_a_machine_puts_itself_to_sleep(lab: RunningLab, machine_id: str, verb: str, after: str) -> None:
    before, since = count(lab), len(lab.lines)
    url = f"http://flaps/v1/apps/counting/machines/{machine_id}/{verb}"
    asking = subprocess.Popen(
        [*LAB, "exec", "--lab", str(lab.process.pid), "--machine", machine_id, "--",
         "curl", "-sS", "-XPOST", "--unix-socket", "/.fly/api", url],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with asking:
        lab.wait_for("Machine suspended" if verb == "suspend" else "Main child exited", since)
        assert state(lab) == after
        assert count(lab) == (before + 1 if verb == "suspend" else 1)
        heard = asking.communicate(timeout=DEADLINE_SECONDS)[0]
        assert heard == '{"ok": true}\n' or (verb, heard) == ("stop", ""), heard


def test_the_service_suspends_itself_once_it_has_answered_and_wakes_as_the_same_process(tmp_path: Path) -> None:
    config = tmp_path / "fly.toml"
    environment = '[env]\nADMIN_TOKEN = "open-sesame-open-sesame"\n'
    config.write_text((PROJECT / "fly.toml").read_text().replace("[env]\n", environment))
    service = f"env PYTHONPATH={PROJECT} {sys.executable} -m private_svc"
    with RunningLab("--command", service, configs=[config]) as lab:
        asked = lab.shell(
            "curl -sS -w ' %{http_code}' -H 'Authorization: Bearer open-sesame-open-sesame' "
            "-H 'Content-Type: application/json' -d '{\"mode\": \"suspend\"}' http://private-svc.flycast/api/sleep"
        )
        assert asked.endswith(" 202"), f"{asked}{lab.tail()}"
        lab.wait_for("Machine suspended")
        assert lab.shell("curl -sS http://private-svc.flycast/healthz") == "ok\n"
        starts = lab.status()["machines"][0]["starts"]
        assert starts == 1, f"it was started anew{lab.tail()}"
