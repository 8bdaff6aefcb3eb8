"""A lab started by a careless parent: closed streams, odd signals, a directory that is gone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from lab import control
from tests.e2e.running import DEADLINE_SECONDS, LAB, PROJECT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.long]

UNSERVED = 'app = "quiet"\nprimary_region = "ams"\n'


@pytest.fixture
def config(tmp_path: Path) -> str:
    """Return a fly.toml without services: nothing to wait for."""
    (tmp_path / "fly.toml").write_text(UNSERVED)
    return f"--config={tmp_path / 'fly.toml'}"


def sh(script: str, config: str) -> subprocess.CompletedProcess[str]:
    run = f"{sys.executable} -m lab run {config} --command 'sleep 1000'"
    return subprocess.run(
        ["sh", "-c", script.replace("RUN", run)],
        capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )  # fmt: skip


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_dev_null_for_the_program(config: str, closed: str) -> None:
    script = "RUN -- sh -c 'test ! -p /proc/self/fd/0 && for n in 0 1 2; do test -e /proc/self/fd/$n || exit 9; done'"
    done = sh(f"{script} {closed}", config)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_ignored_sigchld_does_not_hang_it(config: str) -> None:
    script = (
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execvp(sys.argv[1], sys.argv[1:])"
    )
    done = sh(f'{sys.executable} -c "{script}" RUN -- echo well', config)
    assert (done.returncode, done.stdout, done.stderr) == (0, "well\n", "")


def test_a_hang_up_ignored_by_nohup_stays_ignored(config: str) -> None:
    with subprocess.Popen(
        ["nohup", *LAB, "run", config, "--command", "sleep 1000", "--", "sh", "-c", "echo up; read line; echo $line"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=PROJECT,
    ) as lab:  # fmt: skip
        assert lab.stdout is not None
        assert lab.stdout.readline() == "up\n"
        lab.send_signal(signal.SIGHUP)
        said, _ = lab.communicate("still here\n", timeout=DEADLINE_SECONDS)
    assert (lab.returncode, said) == (0, "still here\n")


def test_a_directory_that_is_gone_becomes_the_root(config: str, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    done = sh(f"cd {tmp_path}/gone && rmdir ../gone && RUN -- pwd", config)
    assert (done.returncode, done.stdout.strip()) == (0, "/"), done.stderr


@pytest.mark.parametrize("delay_ms", range(0, 400, 50))
def test_a_terminate_signal_to_the_whole_group_ends_it_at_any_moment(config: str, delay_ms: int) -> None:
    with subprocess.Popen(
        [*LAB, "run", config, "--command", "sleep 1000", "--", "sleep", "1000"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=PROJECT, process_group=0,
    ) as lab:  # fmt: skip
        time.sleep(delay_ms / 1000)  # the moment is the parameter, not something to wait for
        os.killpg(lab.pid, signal.SIGTERM)
        said, _ = lab.communicate(timeout=DEADLINE_SECONDS)
    assert "Traceback" not in said, said
    assert lab.returncode in {128 + signal.SIGTERM, -signal.SIGTERM}, said


def test_a_lab_that_runs_a_program_can_be_taken_down_from_another_terminal(config: str) -> None:
    with subprocess.Popen(
        [*LAB, "run", config, "--command", "sleep 1000", "--", "sh", "-c", "echo up; exec sleep 1000"],
        stdout=subprocess.PIPE, text=True, cwd=PROJECT,
    ) as lab:  # fmt: skip
        assert lab.stdout is not None
        assert lab.stdout.readline() == "up\n"
        down = subprocess.run(
            [*LAB, "down", "--lab", str(lab.pid)], capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False
        )
        assert (down.returncode, down.stderr) == (0, "")
        assert lab.wait(DEADLINE_SECONDS) == 128 + signal.SIGTERM


def test_a_socket_with_a_lab_s_name_of_no_lab_does_not_disturb_status() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as odd:
        odd.bind(f"\0{control.PREFIX}/{os.geteuid()}/not a\n\nnumber")
        odd.listen()
        done = subprocess.run(
            [*LAB, "status", "--lab", "1"], capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False
        )
        assert "Traceback" not in done.stderr
        listed = "from lab.remote import labs_up; labs_up()"
        assert subprocess.run([sys.executable, "-c", listed], check=False, cwd=PROJECT).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_a_door_that_another_user_opened_under_our_name_is_not_entered() -> None:
    script = (
        "import os, socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET);"
        f"os.setuid(65534); s.bind('\\0{control.PREFIX}/0/' + str(os.getpid())); s.listen();"
        "print(os.getpid(), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as impostor:
        assert impostor.stdout is not None
        pid = impostor.stdout.readline().strip()
        done = subprocess.run(
            [*LAB, "exec", "--lab", pid, "--", "true"],
            capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 1
        assert done.stderr.startswith(f"flycast-lab: no lab of yours with process id {pid} is up")


def test_an_autostop_pass_leaves_a_machine_alone_until_the_deploy_is_over(tmp_path: Path) -> None:
    (tmp_path / "fly.toml").write_text(f'{UNSERVED}[http_service]\ninternal_port = 8080\nauto_stop_machines = "stop"\n')
    app = f"sh -c 'sleep 0.5; exec {sys.executable} {PROJECT}/tests/e2e/patient.py 8080'"
    done = subprocess.run(
        [*LAB, "run", f"--config={tmp_path}/fly.toml", "--autostop-interval=0.05", "--command", app, "--", "true"],
        capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False, cwd=PROJECT,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
