"""The probe asks the real service to sleep, and tells a start from a resume."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.running import PROJECT, RunningLab

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.long]

TOKEN = "only-for-this-test-0123456789"  # noqa: S105 - opens nothing else
WAKE = f"{sys.executable} -m shell wake private-svc --wait 20 --warm 1 --json"


def lab_with_token(tmp_path: Path, *options: str) -> RunningLab:
    """Bring up the blueprint with a token, and with an autostop that never comes in a test's time."""
    fly_toml = (PROJECT / "fly.toml").read_text(encoding="utf-8")
    config = tmp_path / "fly.toml"
    config.write_text(fly_toml.replace("[env]\n", f'[env]\nADMIN_TOKEN = "{TOKEN}"\n'), encoding="utf-8")
    command = f"--command={sys.executable} -m private_svc"
    return RunningLab("--autostop-interval", "300", command, *options, configs=[config])


def test_stop_and_suspend_are_asked_for_and_measured_side_by_side(tmp_path: Path) -> None:
    with lab_with_token(tmp_path) as lab:
        report = json.loads(lab.shell(f"ADMIN_TOKEN={TOKEN} {WAKE} --sleep=stop,suspend --count 2"))
        cycles = [(cycle["asked_to"], cycle["requests"][0]) for cycle in report["cycles"]]
        assert [(mode, first["kind"], first["woke_from"]) for mode, first in cycles] == [
            ("stop", "cold", "stop"),
            ("suspend", "resumed", "suspend"),
        ] * 2, f"{cycles}{lab.tail()}"
        assert (report["cold"]["count"], report["resumed"]["count"]) == (2, 2), report


def test_every_machine_of_an_app_is_asked_until_none_is_up(tmp_path: Path) -> None:
    with lab_with_token(tmp_path, "--scale", "3") as lab:
        report = json.loads(lab.shell(f"ADMIN_TOKEN={TOKEN} {WAKE} --sleep"))
        assert report["cycles"][0]["requests"][0]["proof"] == "proven", f"{report}{lab.tail()}"


def test_a_wrong_token_is_said_so_and_puts_nothing_to_sleep(tmp_path: Path) -> None:
    with lab_with_token(tmp_path) as lab:
        done = lab.on("shell", "env", "ADMIN_TOKEN=wrong", *WAKE.split(), "--sleep")
        assert done.returncode == 1, done.stdout
        assert "401: the token was not accepted" in done.stderr
        assert lab.shell("dig +short txt vms.private-svc.internal").strip() not in {"", '""'}
