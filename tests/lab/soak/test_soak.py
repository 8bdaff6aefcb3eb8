"""The short form of `python -m tests.lab.soak`: seeds that found something once, and Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.running import PROJECT
from tests.lab.soak.run import soak

pytestmark = [pytest.mark.lab, pytest.mark.long]
SEEDS = [
    line.split()[:2]
    for line in Path(__file__).with_name("seeds").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
DEADLINE_SECONDS = 120


@pytest.mark.parametrize(("seed", "seconds"), SEEDS)
def test_no_invariant_is_violated_under_random_faults(seed: str, seconds: str) -> None:
    report = soak(int(seed), float(seconds))
    assert not report.violations, "\n".join(report.lines())
    assert sum(report.counts.values()) > 1000, "too little load to tell anything"
    assert len(report.usages) > 1


def test_ctrl_c_ends_a_soak_with_its_summary(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.lab.soak",
        "--minutes",
        "9",
        "--seed",
        "1",
        "--json",
        str(tmp_path / "report"),
    ]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, start_new_session=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "seed 1, 540 s of load\n"
        assert running.stdout.readline() == "the lab is up\n"
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=DEADLINE_SECONDS)
    assert running.returncode == 130, said
    assert said.startswith("seed 1: "), said
    report = json.loads((tmp_path / "report").read_text())
    assert (report["schema_version"], report["interrupted"], report["violations"]) == (1, True, [])


def test_a_length_that_is_none_is_a_usage_error() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.lab.soak", "--minutes", "-1"],
        cwd=PROJECT, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.endswith("error: argument --minutes: expected a number above 0, got '-1'\n"), done.stderr
