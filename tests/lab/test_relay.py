"""Pipes between a caller and a program: every byte arrives, and nobody waits for a side that has gone."""

from __future__ import annotations

import os
import random
import select
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.running import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE_SECONDS = 30
LOAD = random.Random(1).randbytes(10 * 1024 * 1024)  # noqa: S311 - the same bytes every time
# The caller's side, as `flycast-lab exec` has it; a lab tells the program's end on a socket.
CALLER = """
import os, subprocess, sys
from lab import relay

ours, its = relay.open_pipes()
program = subprocess.Popen(["sh", "-c", sys.argv[1]], stdin=its[0], stdout=its[1], stderr=its[2])
for descriptor in its:
    os.close(descriptor)
relay.carry(ours, until=os.pidfd_open(program.pid))
left_open = [os.readlink(f"/proc/self/fd/{fd}") for fd in ours if os.path.exists(f"/proc/self/fd/{fd}")]
sys.exit(str(left_open) if left_open else program.wait())
"""


def carried(script: str, given: bytes = b"") -> tuple[int, bytes, bytes]:
    """Run a program behind the relay; return its status, and what came of its output and its errors."""
    done = subprocess.run(
        [sys.executable, "-c", CALLER, script],
        input=given, capture_output=True, cwd=PROJECT, timeout=DEADLINE_SECONDS, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_ten_megabytes_cross_both_ways_unchanged() -> None:
    status, output, errors = carried("tee /dev/stderr", LOAD)
    assert (status, output == LOAD, errors == LOAD) == (0, True, True)


def test_the_end_of_the_callers_input_is_the_end_of_the_program_s() -> None:
    assert carried("cat; echo ended; exit 3") == (3, b"ended\n", b"")


def test_a_file_may_be_the_callers_input(tmp_path: Path) -> None:
    (tmp_path / "load").write_bytes(LOAD)
    with (tmp_path / "load").open("rb") as load:
        done = subprocess.run(
            [sys.executable, "-c", CALLER, "cat"],
            stdin=load, capture_output=True, cwd=PROJECT, timeout=DEADLINE_SECONDS, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stdout == LOAD, done.stderr) == (0, True, b"")


@pytest.mark.parametrize("script", ["echo done", "head -c3 >/dev/null; echo done", "exec <&-; echo done"])
def test_a_program_that_does_not_read_what_it_is_given_ends_when_it_wants(script: str) -> None:
    assert carried(script, LOAD) == (0, b"done\n", b"")


def test_a_program_may_close_its_output_and_go_on_reading() -> None:
    assert carried("exec >&-; wc -c >&2; exec 2>&-; exit 4", LOAD) == (4, b"", b"%d\n" % len(LOAD))


def test_a_program_that_reads_late_gets_everything() -> None:
    script = "head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2; wc -c"
    status, output, errors = carried(script, LOAD)
    assert (status, len(errors), output.lstrip(b"\0")) == (0, 1000000, b"%d\n" % len(LOAD))


def test_what_it_says_last_arrives() -> None:
    status, output, _ = carried("seq 8000; echo last; kill -9 $$")
    assert (status, output.split()[-2:]) == (-9 & 0xFF, [b"8000", b"last"])


@pytest.mark.parametrize("child", ["yes", "yes >&2", "cat <&0"], ids=["it writes", "it writes errors", "it is silent"])
def test_a_child_that_it_leaves_behind_is_not_waited_for(child: str) -> None:
    """What the child has written by then may arrive; the child ends with the pipes."""
    read, write = os.pipe()
    with open(read, "rb") as never_ends:  # noqa: PTH123
        with subprocess.Popen(
            [sys.executable, "-c", CALLER, f"{child} & echo said; exit 5"],
            stdin=never_ends, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=PROJECT,
        ) as caller:  # fmt: skip
            try:
                output, _ = caller.communicate(timeout=DEADLINE_SECONDS)
            except subprocess.TimeoutExpired:
                caller.kill()
                raise
        os.close(write)
    assert caller.returncode == 5
    assert b"said\n" in output


def test_a_child_that_writes_as_fast_as_it_is_read_does_not_hold_the_caller() -> None:
    script = """
import os
from lab import relay

(at_end, end), (_, to_program) = os.pipe(), os.pipe()
os.close(end)
relay.carry([to_program, *(os.open("/dev/zero", os.O_RDONLY) for _ in range(2))], until=at_end)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, cwd=PROJECT, timeout=DEADLINE_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr[-1000:]
    assert 1 << 20 <= len(done.stdout) <= 2 << 20, "as much as a pipe can hold, once"


def test_a_caller_that_nobody_reads_ends_and_its_program_with_it() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CALLER, "echo $$; exec yes"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=PROJECT,
    ) as caller:  # fmt: skip
        assert caller.stdout is not None
        assert caller.stderr is not None
        program = os.pidfd_open(int(caller.stdout.readline()))
        caller.stdout.close()
        assert b"BrokenPipeError" in caller.stderr.read()
        assert caller.wait(DEADLINE_SECONDS) == 1
        assert has_ended(program), "the program writes into a pipe that nobody has"
        os.close(program)


def has_ended(program: int) -> bool:
    return bool(select.select([program], [], [], DEADLINE_SECONDS)[0])
