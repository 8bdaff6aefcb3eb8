"""Nothing of a lab outlives it, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.e2e import leftovers
from tests.e2e.running import DEADLINE_SECONDS, LAB, PROJECT

pytestmark = pytest.mark.lab

SCRIPT = """
echo asleep; until ! dig +short aaaa private-svc.internal | grep -q .; do :; done
echo waking; curl -s http://private-svc.flycast/healthz
echo resting; exec sleep 1000
"""
MOMENTS = {
    "as soon as it has forked": None,
    "while the Machine starts": "Starting machine",
    "when a program begins on the shell Machine": "asleep",
    "while the Machine stops": "Sending signal SIGINT",
    "while a request wakes the Machine": "waking",
    "when all is calm": "resting",
}
QUICK = "as soon as it has forked", "while a request wakes the Machine"


@pytest.fixture
def before() -> leftovers.Snapshot:
    return leftovers.snapshot()


@pytest.mark.parametrize(
    "moment", [moment if moment in QUICK else pytest.param(moment, marks=pytest.mark.long) for moment in MOMENTS]
)
def test_kill_9_leaves_no_process_namespace_mount_interface_socket_or_file(
    before: leftovers.Snapshot, moment: str
) -> None:
    options = ["--autostop-interval", "0.3", "--log", "/dev/stdout"]
    with subprocess.Popen(
        [*LAB, "run", *options, "--", "sh", "-c", SCRIPT],
        stdout=subprocess.PIPE, text=True, cwd=PROJECT, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as lab:  # fmt: skip
        wait_for_moment(lab, MOMENTS[moment])
        members = leftovers.family(lab.pid)
        used = leftovers.namespaces(members)
        lab.kill()
        killed = leftovers.now_ticks()
        assert lab.wait(DEADLINE_SECONDS) == -signal.SIGKILL
        assert leftovers.wait_until_gone(members) == [], f"processes left of {members}"
    assert leftovers.wait_until_unused(used, killed) == set()
    assert leftovers.doors(lab.pid) == []
    assert leftovers.snapshot() == before


def wait_for_moment(lab: subprocess.Popen[str], words: str | None) -> None:
    assert lab.stdout is not None
    if words is None:
        while len(leftovers.family(lab.pid)) == 1 and lab.poll() is None:
            pass
        return
    for line in lab.stdout:
        if words in line:
            return
    raise AssertionError(f"the lab ended before it said {words!r}")


def test_a_lab_that_ends_by_itself_leaves_nothing_either(before: leftovers.Snapshot) -> None:
    script = f"import subprocess; subprocess.run({[*LAB, 'run', '--', 'true']!r}, check=True)"
    subprocess.run([sys.executable, "-c", script], cwd=PROJECT, check=True, timeout=DEADLINE_SECONDS)
    assert leftovers.snapshot() == before
