"""Where the host refuses namespaces: the refused call, its errno, the remedy, and what loopback can show."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.running import DEADLINE_SECONDS, LAB, PROJECT

pytestmark = [pytest.mark.lab, pytest.mark.long]

FILTERED = (sys.executable, str(Path(__file__).with_name("without_namespaces.py")))
NO_MORE_NETWORKS = (
    "unshare", "--user", "--map-root-user", "sh", "-c", 'echo 0 >/proc/sys/user/max_net_namespaces; exec "$@"', "sh",
)  # fmt: skip
REFUSALS = [
    pytest.param(FILTERED, "EPERM (Operation not permitted)", "--privileged", id="seccomp"),
    pytest.param(NO_MORE_NETWORKS, "ENOSPC (No space left on device)", "user.max_net_namespaces=15000", id="limit"),
]


def run(prefix: tuple[str, ...], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*prefix, *LAB, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, cwd=PROJECT, check=False)


@pytest.mark.parametrize(("prefix", "number", "remedy"), REFUSALS)
def test_doctor_names_the_call_its_errno_and_the_remedy_in_one_screen(
    prefix: tuple[str, ...], number: str, remedy: str
) -> None:
    done = run(prefix, "doctor")
    assert done.returncode == 1, done.stderr
    assert re.search(r"refused +unshare\(CLONE_NEWUSER\|", done.stdout), done.stdout
    assert number in done.stdout
    assert remedy in done.stdout
    assert len(done.stdout.splitlines()) <= 24
    assert done.stderr == ""


@pytest.mark.parametrize(("prefix", "number", "remedy"), REFUSALS)
def test_demo_says_why_and_walks_through_what_loopback_can_show(
    prefix: tuple[str, ...], number: str, remedy: str
) -> None:
    done = run(prefix, "demo", "--autostop-interval", "0.5")
    assert done.returncode == 0, done.stdout + done.stderr
    for words in ("refused", number, remedy, "Not shown here:", "127.0.0.1"):
        assert words in done.stdout, f"{words!r} is missing in:\n{done.stdout}"
    assert "the app is a plain process of yours" in done.stdout, "it says what is not isolated"
    assert done.stdout.count("cold proven") == 3, done.stdout
    assert "Traceback" not in done.stderr


def test_the_demo_of_somebody_else_s_app_runs_without_isolation_only_when_it_is_told_to(tmp_path: Path) -> None:
    shutil.copy(PROJECT / "fly.toml", tmp_path)
    stranger = ("demo", "--config", str(tmp_path / "fly.toml"), "--command", f"{sys.executable} -m private_svc")
    refused = run(FILTERED, *stranger)
    assert (refused.returncode, refused.stdout) == (1, ""), refused.stdout
    assert "plain process of yours" in refused.stderr
    assert "--unsafe" in refused.stderr
    done = run(FILTERED, *stranger, "--unsafe", "--autostop-interval", "0.5")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("prefix", "number", "remedy"), REFUSALS)
def test_run_refuses_in_one_line_that_points_to_doctor(prefix: tuple[str, ...], number: str, remedy: str) -> None:
    del remedy
    done = run(prefix, "run", "--", "true")
    assert done.returncode == 1
    assert done.stderr.startswith("flycast-lab: the host refused unshare(CLONE_NEWUSER")
    assert number in done.stderr
    assert done.stderr.endswith("see 'flycast-lab doctor'\n")
    assert len(done.stderr.splitlines()) == 1


NO_NAMESPACES_BELOW = (
    "unshare", "--user", "--map-root-user", "sh", "-c", 'echo 0 >/proc/sys/user/max_user_namespaces; exec "$@"', "sh",
)  # fmt: skip
WITHOUT_MOUNT_SETATTR = """
import ctypes, errno, os, struct, sys
from lab.linux import call_filter
PR_SET_NO_NEW_PRIVS, MOUNT_SETATTR, ERRNO, ALLOW = 38, 442, 0x50000, 0x7fff0000
lines = (0x20, 0, 0, 0), (0x15, 0, 1, MOUNT_SETATTR), (6, 0, 0, ERRNO | errno.ENOSYS), (6, 0, 0, ALLOW)
ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
call_filter.install(b"".join(struct.pack("=HBBI", *line) for line in lines))
os.execvp(sys.argv[1], sys.argv[1:])
"""


def test_where_a_machine_can_have_no_user_namespace_the_lab_goes_on_only_with_unsafe() -> None:
    refused = run(NO_NAMESPACES_BELOW, "run", "--", "echo", "never")
    assert (refused.returncode, refused.stdout) == (1, ""), refused.stderr
    assert "a user namespace for each Machine: clone: ENOSPC" in refused.stderr
    done = run(NO_NAMESPACES_BELOW, "run", "--unsafe", "--", "curl", "-sS", "http://private-svc.flycast/healthz")
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr
    assert "Machines are not isolated here: this host does not give a user namespace" in done.stderr


def test_a_kernel_that_cannot_make_a_machine_s_view_read_only_has_no_lab_not_even_with_unsafe() -> None:
    done = run((sys.executable, "-c", WITHOUT_MOUNT_SETATTR), "run", "--unsafe", "--", "echo", "never")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(
        r"flycast-lab: the host refused mount_setattr\(.*\) \(Linux has it from 5\.12 on\): ENOSYS .*; see '.*'\n",
        done.stderr,
    ), done.stderr


def test_doctor_says_that_it_works_where_it_works() -> None:
    done = run((), "doctor")
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("The lab works here")
