"""The probe on a shell Machine: both ways to the hello port, and what a watch sees of a wake."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.e2e.running import LAB, RunningLab

pytestmark = pytest.mark.lab

PROBE = f"{sys.executable} -m shell"


def test_hello_wakes_a_sleeping_app_and_then_hears_every_started_machine() -> None:
    with RunningLab() as lab:
        machine_id = lab.status()["machines"][0]["id"]
        subprocess.run([*LAB, "machine", "stop", machine_id, "--lab", str(lab.process.pid)], check=True, timeout=60)
        report = json.loads(lab.shell(f"{PROBE} hello private-svc --json"))
        assert report["ok"], f"{report}{lab.tail()}"
        assert [(hello["way"], hello["said"], hello["end"]) for hello in report["hellos"]] == [
            ("flycast", "hello", "clean"),
            ("six_pn", "hello", "clean"),
        ]


def test_a_watch_sees_a_machine_wake_and_fall_asleep_again() -> None:
    with RunningLab("--autostop-interval", "2") as lab:
        lab.wait_for(r"Main child exited with code: 0")
        wake = "curl -sS -o /dev/null http://private-svc.flycast/healthz"
        watch = f"{PROBE} watch private-svc --json --interval 0.2"
        until_asleep_again = (
            'while read -r line; do echo "$line"; case "$line" in *\'-> asleep after\'*) break;;'
            f" *'\"from\": null'*) {wake};; esac; done"
        )
        lines = [json.loads(line) for line in lab.shell(f"{watch} | {until_asleep_again}").splitlines()]
        assert [(line["from"], line["to"]) for line in lines] == [
            (None, "asleep"),
            ("asleep", "started"),
            ("started", "asleep"),
        ], f"{lines}{lab.tail()}"
