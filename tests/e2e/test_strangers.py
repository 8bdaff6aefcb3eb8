"""Apps by somebody else, each with its own fly.toml, run, sleep and wake unchanged: one lab with all of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.running import DEADLINE_SECONDS, LAB, RunningLab

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.long]

HERE = Path(__file__).with_name("strangers")
STATIC_FLY_TOML = """\
app = "static"
primary_region = "ams"

[processes]
  app = "python3 -m http.server 8080"

[mounts]
  source = "data"
  destination = "/data"

[[services]]
  internal_port = 8080
  protocol = "tcp"
  auto_stop_machines = "stop"
  [[services.ports]]
    handlers = ["http"]
    port = 80
  [[services.ports]]
    start_port = 8000
    end_port = 8002
  [[services.ports]]
    handlers = ["tls", "http"]
    port = 443
"""
NGINX_FLY_TOML = """\
app = "web-nginx"
primary_region = "ams"
kill_signal = "SIGQUIT"

[processes]
  app = "nginx -e stderr -c {here}/nginx.conf"

[http_service]
  internal_port = 8080
  force_https = false
  auto_stop_machines = "stop"
  auto_start_machines = true
  min_machines_running = 0
  processes = ["app"]
  [http_service.concurrency]
    type = "requests"
    soft_limit = 200
    hard_limit = 250
"""
NODE_FLY_TOML = """\
app = "web-node"
primary_region = "cdg"

[env]
  PORT = "3000"

[processes]
  app = "node {here}/server.mjs"

[http_service]
  internal_port = 3000
  auto_stop_machines = true
"""
ECHO_FLY_TOML = """\
app = "echo"
primary_region = "ams"

[processes]
  app = "{python} {here}/websocket.py serve 8080"

[http_service]
  internal_port = 8080
  auto_stop_machines = "stop"

[[services]]
  internal_port = 8080
  auto_stop_machines = "stop"
  [[services.ports]]
    port = 8883
    handlers = ["tls"]
"""
APPS = {"static": STATIC_FLY_TOML, "web-nginx": NGINX_FLY_TOML, "web-node": NODE_FLY_TOML, "echo": ECHO_FLY_TOML}
PROGRAMS = {"web-nginx": "nginx", "web-node": "node"}
STRANGER = pytest.mark.strangers


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    """Bring up every app whose program this machine has."""
    configs = []
    for app, text in APPS.items():
        if shutil.which(PROGRAMS.get(app, "python3")):
            directory = tmp_path_factory.mktemp(app)
            (directory / "index.html").write_text("<h1>a file</h1>\n")
            (directory / "fly.toml").write_text(text.format(here=HERE, python=sys.executable))
            configs.append(directory / "fly.toml")
    with RunningLab("--autostop-interval=0.2", configs=configs) as running:
        yield running


def asleep(lab: RunningLab, app: str) -> tuple[str, int]:
    """Wait until the app's Machine has stopped; return its id and the number of log lines so far."""
    machine_id = next(str(machine["id"]) for machine in lab.status()["machines"] if machine["app"] == app)
    last_start = max(n for n, line in enumerate(lab.lines) if f"[{machine_id}]" in line and "Starting machine" in line)
    lab.wait_for(rf"app\[{machine_id}\].* Main child exited with code", last_start)
    return machine_id, len(lab.lines)


@pytest.mark.parametrize(
    ("app", "script", "expected"),
    [
        ("static", "curl -sS http://static.flycast/", "<h1>a file</h1>\n"),
        ("static", "curl -sS http://static.flycast:8001/index.html", "<h1>a file</h1>\n"),
        pytest.param(
            "web-nginx",
            "curl -sS http://web-nginx.flycast/ | sed 's/ from fdaa.*//'",
            "nginx for web-nginx.flycast\n",
            marks=STRANGER,
        ),
        pytest.param(
            "web-node",
            "head -c 300000 /dev/zero | curl -sS -T - http://web-node.flycast/put",
            "PUT /put 300000 bytes\n",
            marks=STRANGER,
        ),
    ],
)
def test_somebody_else_s_app_sleeps_and_wakes_unchanged(lab: RunningLab, app: str, script: str, expected: str) -> None:
    for _ in range(2):
        machine_id, since = asleep(lab, app)
        assert lab.shell(script) == expected
        lab.wait_for(rf"\[{machine_id}\].* Starting machine", since)
        assert not [line for line in lab.lines[since:] if "[error]" in line and machine_id in line]


def test_an_open_websocket_keeps_its_machine_awake_and_is_told_when_it_is_stopped(lab: RunningLab) -> None:
    machine_id, _ = asleep(lab, "echo")
    client = [sys.executable, str(HERE / "websocket.py"), "talk", "ws://echo.flycast/"]
    with subprocess.Popen(
        [*LAB, "exec", "--lab", str(lab.process.pid), "--", *client], stdout=subprocess.PIPE, text=True
    ) as talking:
        assert talking.stdout is not None
        assert talking.stdout.readline() == "hello\n"
        since = len(lab.lines)
        asleep(lab, "static")  # a cycle of another app: autostop has passed by meanwhile
        lab.shell("curl -sS -o /dev/null http://static.flycast/")
        asleep(lab, "static")
        assert not [line for line in lab.lines[since:] if f"autostopping machine {machine_id}" in line]
        subprocess.run(
            [*LAB, "machine", "stop", machine_id, "--lab", str(lab.process.pid)], timeout=DEADLINE_SECONDS, check=True
        )
        assert talking.stdout.read() == "CLOSE 1001\n"
        assert talking.wait(DEADLINE_SECONDS) == 0


def test_ports_with_tls_are_told_where_they_are_all_a_service_has(lab: RunningLab) -> None:
    told = [line for line in lab.lines if "Flycast has no certificate" in line]
    assert len(told) == 1, told
    assert "app 'echo': the service on internal port 8080 has only ports with tls (8883)" in told[0]
    refused = lab.on("shell", "curl", "-sS", "http://echo.flycast:8883")
    assert refused.returncode == 7, refused.stderr


def test_what_a_lab_does_not_do_is_told_with_its_place(lab: RunningLab) -> None:
    told = [line for line in lab.lines if "not in a lab" in line]
    assert len(told) == 1, told
    assert "fly.toml:7: mounts: not in a lab: no volume is mounted" in told[0]
