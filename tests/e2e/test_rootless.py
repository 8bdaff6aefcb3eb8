"""The lab without the rights of root: in a user namespace of its own, as for an ordinary user."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.e2e.running import DEADLINE_SECONDS, LAB, PROJECT

pytestmark = pytest.mark.lab

# Root gives up what it could make namespaces with; an ordinary user has nothing to give up.  (The kernel lets root be
# mapped into a user namespace only by one who may set file capabilities.)
WITHOUT_RIGHTS = ("setpriv", "--bounding-set=-all,+setfcap", "--inh-caps=-all") if os.geteuid() == 0 else ()
ROOT_HAS_NO_OTHER_ID = ["--unsafe"] if os.geteuid() == 0 else []


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*WITHOUT_RIGHTS, *LAB, *arguments],
        capture_output=True, text=True, timeout=DEADLINE_SECONDS, cwd=PROJECT, check=False,
    )  # fmt: skip


def test_without_any_capability_the_lab_works() -> None:
    script = "cat /proc/self/uid_map; ping -c2 -i0.2 private-svc.flycast; curl -sS http://private-svc.flycast/healthz;"
    done = run("run", *ROOT_HAS_NO_OTHER_ID, "--", "sh", "-c", f"{script} echo | nc -w5 private-svc.internal 1848")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:4] == ["0", "0", "1", "PING"], "one user id is mapped, and no more"
    assert "2 received" in done.stdout
    assert done.stdout.endswith("ok\nhello\n"), done.stdout


def test_without_any_capability_a_machine_sleeps_and_wakes() -> None:
    done = run(
        "run", *ROOT_HAS_NO_OTHER_ID, "--autostop-interval", "0.3", "--",
        "python", "-m", "shell", "wake", "private-svc", "--count", "2",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("cold proven") == 2, done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's Machines are that user")
def test_where_a_machine_s_root_would_be_the_host_s_the_lab_says_so_and_goes_on_only_with_unsafe() -> None:
    refused = run("run", "--", "echo", "never")
    assert (refused.returncode, refused.stdout) == (1, ""), refused.stderr
    assert "an id of its own for a Machine's root" in refused.stderr
    assert "--unsafe" in refused.stderr
    told = run("run", "--unsafe", "--", "true")
    assert told.returncode == 0
    assert "Machines are not isolated here: this host does not give an id of its own" in told.stderr
