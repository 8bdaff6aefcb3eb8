"""The fault clock-jump: the service while its wall clock is late, and a host that cannot have it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.running import DEADLINE_SECONDS, LAB, PROJECT, RunningLab
from tests.e2e.test_suspend import machine, told

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(shutil.which("cc") is None, reason="the fault clock-jump is built by a C compiler"),
]

LATE_SECONDS = 4000
TRIES = 10


def status(lab: RunningLab) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(lab.shell("curl -sS http://private-svc.flycast/api/status"))
    return answer


def late_by(lab: RunningLab, machine_id: str) -> float:
    """Return how late a program on the Machine is, as `date` sees it."""
    return time.time() - float(told(lab.on(machine_id, "date", "+%s.%N")))


@pytest.mark.long
def test_a_resumed_service_has_a_late_clock_for_a_while_and_nothing_else_changes() -> None:
    with RunningLab(f"--fault=clock-jump={LATE_SECONDS}") as lab:
        machine_id = str(lab.status()["machines"][0]["id"])
        before = status(lab)
        assert abs(late_by(lab, machine_id)) < 60, "right until the first resume"
        resume_until_late(lab, machine_id)
        after = status(lab)
        lab.wait_for(rf"fault clock-jump: the wall clock is {LATE_SECONDS}s late, for 3s")
        assert 0 <= uptime(after) - uptime(before) < LATE_SECONDS / 2, "uptime must not come from the wall clock"
        assert lab.status()["machines"][0]["starts"] == 1, "it was resumed, not started"
        lab.shell("curl -sSf http://private-svc.flycast/healthz && curl -sSf http://private-svc.flycast/ >/dev/null")
        deadline = time.monotonic() + DEADLINE_SECONDS
        while late_by(lab, machine_id) > 60:
            assert time.monotonic() < deadline, "the clock is never right again"


def resume_until_late(lab: RunningLab, machine_id: str) -> None:
    """Suspend and resume until the lateness is seen, which lasts for seconds: a busy host may look too late."""
    for _ in range(TRIES):
        told(machine(lab, "suspend", machine_id))
        lab.shell("curl -sSf http://private-svc.flycast/whoami")
        seen = late_by(lab, machine_id)
        if seen > 60:
            assert seen == pytest.approx(LATE_SECONDS, abs=60)
            return
    raise AssertionError(f"the clock was right after each of {TRIES} resumes{lab.tail()}")


def uptime(found: dict[str, Any]) -> float:
    return float(found["uptime_ms"]) / 1000


def test_without_a_compiler_the_fault_is_refused_with_what_to_install(tmp_path: Path) -> None:
    done = subprocess.run(
        [*LAB, "run", f"--config={PROJECT / 'fly.toml'}", "--fault=clock-jump=5", "--", "true"],
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    expected = "flycast-lab: --fault clock-jump: expected a C compiler, got no cc; e.g. apt install gcc libc6-dev\n"
    assert done.stderr == expected
