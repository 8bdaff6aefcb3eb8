"""A service that goes to sleep by itself when nobody wants anything: the only way to tune when a Machine sleeps."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.running import PROJECT, RunningLab

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.long]

APP = "private-svc"
IDLE_SECONDS = 2


def idle_service(directory: Path, action: str) -> RunningLab:
    """Bring up the service as it is deployed, with an idle time of its own; the lab itself stops nothing so soon."""
    config = directory / "fly.toml"
    settings = f'[env]\nIDLE_EXIT_SECONDS = "{IDLE_SECONDS}"\nIDLE_ACTION = "{action}"\n'
    config.write_text((PROJECT / "fly.toml").read_text().replace("[env]\n", settings))
    (directory / "Dockerfile").write_text((PROJECT / "Dockerfile").read_text())
    return RunningLab(configs=[config])


def state(lab: RunningLab) -> str:
    """Return the state of the one Machine."""
    (machine,) = lab.status()["machines"]
    return str(machine["state"])


def test_an_idle_service_stops_its_machine_and_one_that_is_used_stays(tmp_path: Path) -> None:
    with idle_service(tmp_path, "exit") as lab:
        lab.wait_for(rf"idle for [{IDLE_SECONDS}-9] s")
        lab.wait_for(r"Main child exited with code: 0")
        assert state(lab) == "stopped", lab.tail()
        woken = len(lab.lines)
        assert lab.shell(f"curl -sS http://{APP}.flycast/healthz") == "ok\n"
        lab.wait_for(r"Starting machine", woken)
        used_until_s = time.monotonic() + 2 * IDLE_SECONDS
        while time.monotonic() < used_until_s:
            lab.shell(f"curl -sS http://{APP}.flycast/whoami")
        assert not [line for line in lab.lines[woken:] if "idle for" in line], lab.tail()
        lab.wait_for(r"Main child exited with code: 0", woken)
        assert not [line for line in lab.lines if "autostopping" in line]


def test_an_idle_service_suspends_its_machine_and_goes_on_where_it_was(tmp_path: Path) -> None:
    with idle_service(tmp_path, "suspend") as lab:
        before = json.loads(lab.shell(f"curl -sS http://{APP}.flycast/api/status"))
        lab.wait_for(r"Machine suspended")
        assert state(lab) == "suspended", lab.tail()
        after = json.loads(lab.shell(f"curl -sS http://{APP}.flycast/api/status"))
        assert after["boot_ms"] == before["boot_ms"] | {"first_response": after["boot_ms"]["first_response"]}
        assert after["requests"] == {"flycast": 2}, "the same process"
        assert after["sleep"]["failure"] == ""
        assert not [line for line in lab.lines if "not suspended" in line], lab.tail()
