"""`flycast-lab run`: the program's exit status, and one clear line for every mistake."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.running import DEADLINE_SECONDS, LAB, PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.lab

MINIMAL = 'app = "demo"\nprimary_region = "ams"\n[http_service]\n  internal_port = 8080\n'


def run(
    *arguments: str, directory: Path = PROJECT, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), **(env or {})}
    return subprocess.run(
        [*LAB, *arguments],
        capture_output=True, text=True, timeout=DEADLINE_SECONDS, cwd=directory, env=environment, check=False,
    )  # fmt: skip


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the only line of standard error, and fail on a traceback or a second line."""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, f"expected one line, got exit {done.returncode} and:\n{done.stderr}"
    return lines[0]


@pytest.mark.parametrize("status", [0, 1, 42])
def test_the_exit_status_is_the_program_s(status: int) -> None:
    assert run("run", "--", "sh", "-c", f"exit {status}").returncode == status


def test_a_program_killed_by_a_signal_gives_128_and_its_number() -> None:
    assert run("run", "--", "sh", "-c", "kill -9 $$").returncode == 128 + signal.SIGKILL


def test_standard_streams_and_directory_are_the_caller_s(tmp_path: Path) -> None:
    config = f"--config={PROJECT / 'fly.toml'}"
    done = subprocess.run(
        [*LAB, "run", config, "--", "sh", "-c", "cat; pwd; echo aside >&2"],
        input="through\n", capture_output=True, text=True, timeout=DEADLINE_SECONDS, cwd=tmp_path, check=False,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )  # fmt: skip
    assert done.stdout == f"through\n{tmp_path}\n"
    assert done.stderr == "aside\n"


def test_a_program_that_does_not_exist_is_127_and_one_line() -> None:
    done = run("run", "--", "no-such-program")
    assert done.returncode == 127
    assert one_line(done) == "flycast-lab: cannot run 'no-such-program': No such file or directory"


@pytest.mark.parametrize("arguments", [["run", "--", "true"], ["demo"], ["up"], ["doctor"]], ids=" ".join)
def test_without_the_lab_s_extra_the_way_to_install_it_is_told(arguments: list[str]) -> None:
    script = f"import sys; sys.modules['pyroute2'] = None; from lab.cli import main; sys.exit(main({arguments}))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, timeout=DEADLINE_SECONDS, cwd=PROJECT, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "pip install 'flycast-private-service[lab]'" in one_line(done)


def test_a_host_without_a_resolver_file_is_told_what_to_create() -> None:
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
         'mount -t tmpfs none /etc; touch /etc/hosts; exec "$@"', "sh", *LAB, "run", "--", "true"],
        capture_output=True, text=True, timeout=DEADLINE_SECONDS, cwd=PROJECT, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert one_line(done).endswith("touch /etc/resolv.conf")


def test_a_missing_fly_toml_is_named(tmp_path: Path) -> None:
    done = run("run", "--", "true", directory=tmp_path)
    assert done.returncode == 2
    assert "fly.toml" in one_line(done)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("app = ", "fly.toml:1: not TOML"),
        ('app = "demo"\n[http_service]\ninternal_port = "web"\n', "internal_port"),
        ('primary_region = "ams"\n[processes]\napp = "true"\n', "app: expected a name"),
        ('app = "demo"\n[http_service]\nauto_stop_machines = "sleep"\ninternal_port = 1\n', "sleep"),
        (f"{MINIMAL}", "nothing to run"),
    ],
    ids=["not toml", "wrong type", "no app", "bad autostop", "no command"],
)
def test_a_broken_fly_toml_is_told_in_one_line(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "fly.toml").write_text(text)
    done = run("run", "--", "true", directory=tmp_path)
    assert done.returncode == 2
    assert expected in one_line(done)


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--no-such-option", "--", "true"],
        ["run", "--scale", "many", "--", "true"],
        ["run", "--autostop-interval", "never", "--", "true"],
        ["run", "--boot-ms", "-1", "--", "true"],
        ["run"],
        ["no-such-command"],
        [],
        ["run", "--log", "/no/such/directory/log", "--", "true"],
        ["exec", "--lab", "1", "--"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_one_line_and_status_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2, done.stderr
    assert one_line(done).startswith("flycast-lab")


@pytest.mark.parametrize(
    ("command", "searched"),
    [
        ("no-such-app", r"in a directory of PATH in this host's files, as a Machine sees them: \S*/bin:\S+"),
        ("bin/app", "and the interpreter .*, in this host's files, as a Machine sees them: {directory}/bin/app"),
    ],
)
def test_a_machine_command_that_does_not_exist_is_named_with_where_it_was_looked_for(
    tmp_path: Path, command: str, searched: str
) -> None:
    (tmp_path / "fly.toml").write_text(MINIMAL)
    done = run("run", "--command", command, "--", "true", directory=tmp_path)
    assert done.returncode == 1
    expected = f"cannot run '{command}': No such file or directory; expected it,? {searched.format(directory=tmp_path)}"
    assert re.search(f"{expected}$", done.stderr), done.stderr
    assert "Traceback" not in done.stderr


CRASH = "print('starting')\nprint()\ntry: {}['data']\nfinally: raise SystemExit('no volume at /data\\n')"


def test_an_app_that_fails_at_once_is_told_with_its_status_and_once_with_its_last_lines() -> None:
    done = run("run", "--command", shlex.join(["python3", "-uc", CRASH]), "--", "true")
    assert done.returncode == 1
    end, header, *last_lines, verdict = done.stderr.splitlines()
    assert end.endswith("[error] Main child exited with code: 1"), done.stderr
    assert header == "    its last lines:"
    assert last_lines == ["    starting", "    no volume at /data"]
    assert verdict.endswith("exited with code 1 before it listened"), done.stderr


def test_up_has_shown_what_an_app_printed_and_does_not_repeat_it() -> None:
    done = run("up", "--command", "sh -c 'echo no database; exit 3'")
    assert done.returncode == 1
    assert done.stdout.count("no database\n") == 1, done.stdout
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.endswith("exited with code 3 before it listened\n")


def test_what_a_lab_leaves_out_is_told_before_the_app_that_crashes_of_it(tmp_path: Path) -> None:
    (tmp_path / "fly.toml").write_text(f'{MINIMAL}[mounts]\n  source = "data"\n  destination = "/data"\n')
    done = run("run", "--command", "sh -c 'echo no volume at /data; exit 3'", "--", "true", directory=tmp_path)
    assert done.returncode == 1
    hint, *rest = done.stderr.splitlines()
    assert "fly.toml:5: mounts: not in a lab: no volume is mounted" in hint, done.stderr
    assert "    no volume at /data" in rest


def test_an_app_that_ends_well_at_once_is_warned_about_and_its_requests_get_503() -> None:
    request = ("curl", "-sS", "-w", "%{http_code}", "-o", "/dev/null", "http://private-svc.flycast")
    done = run("run", "--command", "echo usage: app DIRECTORY", "--", *request)
    assert done.stdout == "503", done.stderr
    assert "exited with code 0 before it listened\n    its last lines:\n    usage: app DIRECTORY\n" in done.stderr


def test_the_service_in_a_machine_may_not_take_a_port_twice() -> None:
    done = run("run", "--command", "env PORT=1848 HELLO_PORT=1848 python -m private_svc", "--", "true")
    assert done.returncode == 1
    assert "1848" in done.stderr.splitlines()[-1]


def test_a_closed_standard_output_ends_it_without_a_traceback() -> None:
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m lab run -- seq 100000 | head -1"],
        capture_output=True, text=True, timeout=DEADLINE_SECONDS, cwd=PROJECT, check=False,
    )  # fmt: skip
    assert done.stdout == "1\n"
    assert done.stderr == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["to it alone", "to its group"])
def test_a_signal_ends_the_program_and_the_lab_with_its_own_status(
    send: Callable[[int, int], None], number: signal.Signals
) -> None:
    heeding = ["env", "--default-signal=HUP,INT"]  # the tests may run in the background, where they are ignored
    with subprocess.Popen(
        [*heeding, *LAB, "run", "--", "sh", "-c", "echo up; exec sleep 1000"],
        stdout=subprocess.PIPE, text=True, cwd=PROJECT, process_group=0,
    ) as lab:  # fmt: skip
        assert lab.stdout is not None
        assert lab.stdout.readline() == "up\n"
        send(lab.pid, number)
        assert lab.wait(DEADLINE_SECONDS) == 128 + number


def test_the_log_file_gets_every_line(tmp_path: Path) -> None:
    log = tmp_path / "lab.log"
    assert run("run", f"--log={log}", "--", "curl", "-sS", "http://private-svc.flycast/healthz").returncode == 0
    text = log.read_text()
    assert "Starting machine" in text
    assert "machine started in" in text


def test_boot_ms_makes_a_start_slower() -> None:
    done = run("run", "--boot-ms=400", "--log=/dev/stdout", "--", "true")
    started = next(line for line in done.stdout.splitlines() if "machine started in" in line)
    assert int(started.split()[-1].removesuffix("ms")) >= 400


def test_exec_status_and_down_without_a_lab_say_how_to_start_one() -> None:
    for command in (["exec", "--lab=1", "--", "true"], ["status", "--lab=1"], ["down", "--lab=1"]):
        done = run(*command)
        assert done.returncode == 1
        assert one_line(done).startswith("flycast-lab: no lab of yours with process id 1 is up")


def test_two_labs_side_by_side_do_not_see_each_other() -> None:
    script = "curl -sS http://private-svc.flycast/healthz"
    done = run("run", "--", sys.executable, "-m", "lab", "run", "--", "sh", "-c", script)
    assert done.stdout == "ok\n", f"a lab inside a lab: {done.stderr}"


def test_the_lab_s_network_reaches_nothing_outside() -> None:
    with socket.create_server(("127.0.0.1", 0)) as outside:
        port = outside.getsockname()[1]
        done = run("run", "--", "curl", "-sS", "-m", "3", f"http://127.0.0.1:{port}")
    assert done.returncode == 7, "the shell Machine's loopback is its own"
