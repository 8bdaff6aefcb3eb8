from __future__ import annotations

import subprocess
import sys

import pytest

from private_svc import boot
from tests.private_svc.process import PATIENCE_SECONDS, ROOT


@pytest.mark.parametrize(
    ("cpu_s", "start_s"),
    [(0.5, 100.00), (0.055, 100.005), (0.052, 100.008), (0.03, 100.01), (0.0, 100.01)],
)
def test_the_start_lies_in_its_tick_and_no_later_than_the_cpu_time_used(cpu_s: float, start_s: float) -> None:
    assert boot.process_start(100.06, cpu_s, 10000, 100) == pytest.approx(start_s)


def test_without_proc_the_start_is_told_from_the_cpu_time() -> None:
    assert boot.process_start(100.0, 0.25, None, 100) == 99.75


def test_only_the_first_stamp_of_a_phase_counts() -> None:
    started = boot.Boot(boot.clock())
    started.stamp("bound")
    first = dict(started.phases_ms)
    started.stamp("bound")
    assert started.phases_ms == first


def test_a_process_knows_when_it_was_started_to_a_tick() -> None:
    before_s = boot.clock()
    told = subprocess.run(
        [sys.executable, "-c", "from private_svc import boot; print(boot.origin())"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    assert before_s - 0.01 <= float(told.stdout) <= boot.clock()


def test_server_timing_has_boot_and_age_in_milliseconds() -> None:
    started = boot.Boot(boot.clock() - 1)
    started.stamp("serving")
    parts = dict(part.strip().split(";dur=") for part in started.server_timing(None).split(","))
    assert 1000 <= float(parts["boot"]) <= float(parts["age"])


def test_server_timing_has_the_time_since_a_resume_only_after_one() -> None:
    started = boot.Boot(boot.clock() - 1)
    assert "resumed" not in started.server_timing(None)
    since_ms = float(started.server_timing(boot.clock() - 0.5).rpartition("resumed;dur=")[2])
    assert since_ms >= 500
