"""Nobody reads what the lab prints: the lab goes on, later says how many lines are missing, and ends when told."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

import pytest

from tests.e2e.running import DEADLINE_SECONDS, LAB, PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.lab

LINES = 40_000  # with what the log puts before each of them some 3 MB: more than a pipe and the lab's queue hold
CHATTY = ("--command", f"sh -c 'seq {LINES}; exec python -m private_svc'")
MISSING = re.compile(r"flycast-lab: (\d+) lines are missing here, because this output could not take them in time")
HEEDING = ("env", "--default-signal=HUP,INT")  # the tests may run in the background, where they are ignored


@contextmanager
def lab(*arguments: str, out: int = subprocess.PIPE, err: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[str]]:
    command = [*HEEDING, *LAB, *arguments]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, text=True, cwd=PROJECT) as process:
        try:
            yield process
        finally:
            process.kill()


def ask(process: subprocess.Popen[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*LAB, arguments[0], "--lab", str(process.pid), *arguments[1:]]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False)


def use(process: subprocess.Popen[str]) -> None:
    """Use the lab as if all was well: wait for its app, which first prints more than anybody takes."""
    script = "until curl -sf http://private-svc.flycast/healthz; do :; done"
    while (done := ask(process, "exec", "--", "sh", "-c", script)).returncode and process.poll() is None:
        assert "is up" in done.stderr, f"expected it to start, got: {done.stderr}"
    assert done.stdout == "ok\n", f"the lab does not serve while nobody reads: {done.stderr}"


def numbers(lines: Sequence[str]) -> list[int]:
    """Return which of the app's numbered lines are there, in their order."""
    found = (re.search(r" app\[\w+\] \w+ \[info\] (\d+)$", line) for line in lines)
    return [int(match[1]) for match in found if match]


def test_a_lab_whose_log_nobody_reads_serves_and_tells_later_how_many_lines_are_missing() -> None:
    with lab("up", *CHATTY) as up:
        use(up)
        assert up.stdout is not None
        lines: list[str] = []
        for line in up.stdout:
            lines.append(line.rstrip())
            if MISSING.match(line):
                break
        assert ask(up, "down").returncode == 0
        lines += up.stdout.read().splitlines()
        assert up.wait(DEADLINE_SECONDS) == 0
    seen = numbers(lines)
    lost = [int(match[1]) for match in map(MISSING.match, lines) if match]
    assert seen == sorted(seen), "the lines are out of order"
    assert seen[0] == 1
    assert len(seen) < LINES <= len(seen) + sum(lost), f"{len(seen)} lines came, {lost} are said to be missing"


@pytest.mark.parametrize("end", ["SIGINT", *(pytest.param(way, marks=pytest.mark.long) for way in ("down", "SIGTERM"))])
def test_a_lab_whose_log_nobody_reads_ends_when_it_is_told_to(end: str) -> None:
    with lab("up", *CHATTY) as up:
        use(up)
        if end == "down":
            assert ask(up, "down").returncode == 0
        else:
            up.send_signal(signal.Signals[end])
        assert up.wait(DEADLINE_SECONDS) == (0 if end == "down" else 128 + signal.Signals[end])


@pytest.mark.long
def test_a_stopped_terminal_does_not_stop_the_lab() -> None:
    ours, theirs = pty.openpty()
    try:
        termios.tcflow(theirs, termios.TCOOFF)  # what Ctrl-S does
        with lab("up", *CHATTY, out=theirs, err=theirs) as up:
            use(up)
            assert ask(up, "down").returncode == 0
            assert up.wait(DEADLINE_SECONDS) == 0
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_log_fifo_that_nobody_empties_does_not_hold_up_the_program(tmp_path: Path) -> None:
    os.mkfifo(fifo := tmp_path / "log")
    with open_fifo(fifo):
        done = subprocess.run(
            [*LAB, "run", *CHATTY, f"--log={fifo}", "--", "curl", "-sS", "http://private-svc.flycast/healthz"],
            capture_output=True, text=True, timeout=DEADLINE_SECONDS, cwd=PROJECT, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr


def test_a_log_fifo_gets_the_lines_and_one_without_a_reader_is_told_about(tmp_path: Path) -> None:
    os.mkfifo(fifo := tmp_path / "log")
    command = [*LAB, "run", f"--log={fifo}", "--", "true"]
    with open_fifo(fifo) as reader:
        subprocess.run(command, timeout=DEADLINE_SECONDS, cwd=PROJECT, check=True)
        assert "Starting machine" in reader.read()
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, cwd=PROJECT, check=False)
    assert done.returncode == 2
    assert done.stderr == f"flycast-lab: --log: nobody reads {fifo}; start its reader first, e.g. cat {fifo}\n"


@contextmanager
def open_fifo(path: Path) -> Iterator[IO[str]]:
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), encoding="utf-8") as reader:  # noqa: PTH123 - not a path
        yield reader


def test_a_log_whose_reader_has_gone_ends_the_lab_as_a_closed_pipe_does() -> None:
    read, write = os.pipe()
    os.close(read)
    with lab("up", out=write) as up:
        os.close(write)
        assert up.wait(DEADLINE_SECONDS) == 128 + signal.SIGPIPE


@pytest.mark.long
@pytest.mark.parametrize(
    ("command", "number", "status"),
    [(("run", "--command", "false", "--", "true"), None, 1), (("demo",), signal.SIGINT, 130)],
    ids=["an error that ends it", "Ctrl-C"],
)
def test_a_pipe_that_is_full_from_the_start_does_not_hold_up_the_end(
    tmp_path: Path, command: tuple[str, ...], number: signal.Signals | None, status: int
) -> None:
    _, write = full_pipe = os.pipe()
    os.set_blocking(write, False)
    with suppress(BlockingIOError):
        while os.write(write, bytes(select.PIPE_BUF)):
            pass
    os.set_blocking(write, True)
    (log := tmp_path / "log").touch()
    with lab(command[0], f"--log={log}", *command[1:], out=write, err=write) as process:
        if number:
            wait_until(lambda: "listening" in log.read_text() or process.poll() is not None)
            process.send_signal(number)
        assert process.wait(DEADLINE_SECONDS) == status
    for end in full_pipe:
        os.close(end)


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < end, "it has not come to that in time"
        time.sleep(0.01)
