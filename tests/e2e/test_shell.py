"""`flycast-lab shell` and `status --watch` on a real terminal, beside a lab that another terminal keeps up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.running import DEADLINE_SECONDS, LAB, RunningLab
from tests.e2e.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pytestmark = pytest.mark.lab

BASH = ("bash", "--norc", "-i")
IDLE_APP = 'app = "idle"\n[processes]\napp = "sleep 1000"\n'  # no service: nothing to wait for


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shell") / "fly.toml"
    path.write_text(IDLE_APP)
    return path


@pytest.fixture(scope="module")
def lab(config: Path) -> Iterator[RunningLab]:
    with RunningLab(configs=[config]) as running:
        yield running


def shell(lab: RunningLab, program: Sequence[str] = BASH, machine: str = "shell") -> Terminal:
    return Terminal(*LAB, "shell", "--lab", str(lab.process.pid), "--machine", machine, "--", *program)


def test_a_shell_in_the_lab_has_job_control_and_its_exit_status_is_returned(lab: RunningLab) -> None:
    with shell(lab) as terminal:
        terminal.read_until("ready> ")
        assert "no job control" not in terminal.screen
        terminal.type("sh -c \"echo run''ning; exec sleep 99\"\r")
        terminal.read_until("running")
        terminal.type("\x1a")
        terminal.read_until("Stopped")
        terminal.type("kill -9 %1\r")
        terminal.read_until("ready> ")
        terminal.type("fg; exit 7\r")
        assert terminal.wait() == 7


def test_ctrl_c_reaches_the_program_alone_and_the_shell_goes_on(lab: RunningLab) -> None:
    with shell(lab) as terminal:
        terminal.read_until("ready> ")
        terminal.type("sh -c \"echo run''ning; exec sleep 99\"\r")
        terminal.read_until("running")
        terminal.type("\x03")
        terminal.read_until("ready> ")
        terminal.type("exit $?\r")
        assert terminal.wait() == 130, "the status of what Ctrl-C ended"


def test_the_program_s_terminal_is_its_own_and_on_the_machine_asked_for(lab: RunningLab) -> None:
    machine = lab.status()["machines"][0]["id"]
    with shell(
        lab, ("sh", "-c", "tty; stat -Lc %d $(tty); hostname; cat /proc/self/stat | cut -d' ' -f7"), machine
    ) as terminal:
        callers = Path(f"/proc/{terminal.pid}/fd/0").stat().st_dev
        assert terminal.wait() == 0
        tty, device, hostname, controlling = terminal.screen.split()
        assert tty.startswith("/dev/pts/")
        assert int(device) != callers, "not one of the caller's"
        assert hostname == machine
        assert controlling != "0", "it has a controlling terminal"


def test_the_terminal_in_an_app_s_machine_is_that_machine_s_and_belongs_to_its_root(lab: RunningLab) -> None:
    machine = lab.status()["machines"][0]["id"]
    script = "readlink /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2; stat -c 'user %u' $(tty); ls -A /dev/pts"
    with shell(lab, ("sh", "-c", script), machine) as terminal:
        assert terminal.wait() == 0
        first, *others, _, user, number, _ = terminal.screen.split()
    assert others == [first] * 2, terminal.screen
    assert (user, f"/dev/pts/{number}") == ("0", first)


@pytest.mark.parametrize("where", ["shell", "an app's"])
def test_the_window_s_size_is_known_and_followed(lab: RunningLab, where: str) -> None:
    machine = "shell" if where == "shell" else lab.status()["machines"][0]["id"]
    script = "trap 'stty size' WINCH; stty size; while :; do read -r word && exit; done"
    with shell(lab, ("sh", "-c", "echo ready; read -r go; " + script), machine) as terminal:
        terminal.read_until("ready")
        terminal.resize(33, 101)
        terminal.type("go\r")
        terminal.read_until("33 101")
        terminal.resize(44, 99)
        terminal.read_until("44 99")
        terminal.type("end\r")
        assert terminal.wait() == 0


def test_more_keys_than_a_terminal_holds_all_arrive(lab: RunningLab) -> None:
    with shell(lab, ("sh", "-c", "stty raw -echo; echo ready; sleep 0.1; head -c 100000 | wc -c")) as terminal:
        terminal.read_until("ready")
        terminal.type("x" * 100_000)
        terminal.read_until("100000")
        assert terminal.wait() == 0


def test_everything_the_program_said_is_shown(lab: RunningLab) -> None:
    with shell(lab, ("sh", "-c", "seq 20000; echo last")) as terminal:
        assert terminal.wait() == 0
        assert terminal.screen.endswith("20000\r\nlast\r\n"), terminal.screen[-200:]
        assert terminal.screen.count("\r\n") == 20001


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_ends_it_and_the_program_with_it_and_the_terminal_is_as_before(
    lab: RunningLab, ending: signal.Signals
) -> None:
    with shell(lab, ("sh", "-c", "echo pid=$$; exec sleep 1000")) as terminal:
        before = terminal.settings()
        program = terminal.read_until(r"pid=\d+").partition("=")[2]
        assert terminal.settings() != before, "raw while the program has it"
        os.kill(terminal.pid, ending)
        if ending is signal.SIGKILL:
            assert terminal.wait() == -ending, "nothing can tidy the terminal up after that"
        else:
            assert terminal.wait() == 128 + ending
            assert terminal.settings() == before
        lab.shell(f"for i in $(seq 1000); do kill -0 {program} 2>/dev/null || exit 0; sleep 0.01; done; exit 1")


def test_without_a_terminal_it_says_what_to_use(lab: RunningLab) -> None:
    done = subprocess.run(
        [*LAB, "shell", "--lab", str(lab.process.pid)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "in scripts use 'flycast-lab exec -- CMD'" in done.stderr


def test_a_program_that_does_not_exist_leaves_the_terminal_in_order(lab: RunningLab) -> None:
    with shell(lab, ("no-such-program",)) as terminal:
        before = terminal.settings()
        assert terminal.wait() == 127
        assert "cannot run 'no-such-program'" in terminal.screen
        assert terminal.settings() == before


def test_watch_draws_every_change_on_a_screen_of_its_own_and_gives_the_old_one_back(lab: RunningLab) -> None:
    machine = lab.status()["machines"][0]["id"]
    choice = ("--lab", str(lab.process.pid))
    with Terminal(*LAB, "status", "--watch", *choice) as terminal:
        terminal.read_until(f"{machine}.*started")
        subprocess.run([*LAB, "machine", "stop", machine, *choice], check=True, timeout=DEADLINE_SECONDS)
        terminal.read_until(f"{machine}.*stopped")
        subprocess.run([*LAB, "machine", "start", machine, *choice], check=True, timeout=DEADLINE_SECONDS)
        terminal.read_until(f"{machine}.*started")
        terminal.type("\x03")
        assert terminal.wait() == 130
        assert "\x1b[?1049l" in terminal.screen
        assert "Traceback" not in terminal.screen


def test_watch_as_json_is_a_line_a_change_and_ends_with_the_lab(config: Path) -> None:
    with RunningLab(configs=[config]) as lone:
        machine = lone.status()["machines"][0]["id"]
        choice = ("--lab", str(lone.process.pid))
        with subprocess.Popen(
            [*LAB, "status", "--watch", "--json", *choice], stdout=subprocess.PIPE, text=True
        ) as watching:
            assert watching.stdout is not None
            assert json.loads(watching.stdout.readline())["machines"][0]["state"] == "started"
            subprocess.run([*LAB, "machine", "stop", machine, *choice], check=True, timeout=DEADLINE_SECONDS)
            last = ""
            while last != "stopped":
                last = json.loads(watching.stdout.readline())["machines"][0]["state"]
            subprocess.run([*LAB, "down", *choice], check=True, timeout=DEADLINE_SECONDS)
            assert watching.wait(DEADLINE_SECONDS) == 0


def test_watch_ends_when_nobody_reads_it_any_more(lab: RunningLab) -> None:
    watching = subprocess.Popen(
        [*LAB, "status", "--watch", "--json", "--lab", str(lab.process.pid)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        assert watching.stdout.readline()
        watching.stdout.close()
        assert watching.wait(DEADLINE_SECONDS) == 128 + signal.SIGPIPE
        assert watching.stderr.read() == ""
