from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import pytest

from lab import memory
from lab.background import Background
from lab.machine import Machine
from lab.memory import Held, victim
from lab.processes import Entry
from tests.lab.test_machine import Field, Notes
from tests.lab.test_topology import lay_out

if TYPE_CHECKING:
    from collections.abc import Iterator

EATER = "import sys; eaten = b'x' * (int(sys.argv[1]) << 20); print('full', flush=True); sys.stdin.read()"


def test_the_biggest_dies_when_all_together_hold_too_much() -> None:
    for sizes in product(range(4), repeat=3):
        held = [Held(pid, "app", size) for pid, size in enumerate(sizes)]
        dying = victim(held, 4)
        if sum(sizes) <= 4:
            assert dying is None, sizes
        else:
            assert dying is not None
            assert dying.size == max(sizes), sizes
    assert victim([], 0) is None


@pytest.fixture
def eaters() -> Iterator[list[subprocess.Popen[str]]]:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", EATER, str(size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for size in (40, 80)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "full\n"
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def look(machine_mb: int, pids: list[int], *, files: bool = False) -> list[str]:
    plan = replace(lay_out().machines[0], memory_mb=machine_mb)
    notes = Notes()
    entries = [Entry(pid, f"/proc/{pid}") for pid in pids]
    machine = Machine(plan, lay_out().apps[0], Field(), notes, Background(notes))
    unmapped = memory._in_files(entries) if files else {}  # noqa: SLF001 - one look
    memory._look_at(machine, entries, notes, unmapped)  # noqa: SLF001
    return notes.lines


def test_real_processes_that_hold_too_much_together_lose_the_biggest(eaters: list[subprocess.Popen[str]]) -> None:
    pids = [eater.pid for eater in eaters]
    assert look(400, pids) == []
    assert look(100, [*pids, 2**22 + 1]), "each one alone would fit; one that has ended counts nothing"
    assert eaters[1].wait(10) == -signal.SIGKILL
    assert eaters[0].poll() is None


def test_the_log_tells_who_was_killed_and_what_the_limit_is(eaters: list[subprocess.Popen[str]]) -> None:
    (line,) = look(60, [eaters[1].pid])
    assert line.startswith(f"app [error] Out of memory: Killed process {eaters[1].pid} (python")
    assert line.endswith("; the Machine has 60 MB (fly.toml: [[vm]] memory)")


UNMAPPED = """
import os, sys
file = os.memfd_create("unmapped")
os.write(file, b"x" * (80 << 20))
copy = os.dup(file)
print("full", flush=True)
sys.stdin.read()
"""


def test_memory_in_a_file_that_nobody_maps_counts_once(eaters: list[subprocess.Popen[str]]) -> None:
    command = [sys.executable, "-c", UNMAPPED]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as hiding:
        assert hiding.stdout is not None
        assert hiding.stdout.readline() == "full\n"
        pids = [hiding.pid, eaters[0].pid]
        assert look(100, pids) == [], "what is mapped alone fits"
        assert look(250, pids, files=True) == [], "the file counts once, although it has two descriptors"
        assert look(100, pids, files=True), "with the file it is too much"
        assert hiding.wait(10) == -signal.SIGKILL


HEADLESS = """
import ctypes, sys, threading, time
SYS_EXIT = {"x86_64": 60}.get(__import__("os").uname().machine, 93)
def hold():
    first = threading.main_thread().native_id
    while open(f"/proc/self/task/{first}/stat").read().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.001)
    held = b"x" * (80 << 20)
    print("full", flush=True)
    sys.stdin.read()
threading.Thread(target=hold).start()
ctypes.CDLL(None).syscall(SYS_EXIT, 0)  # this thread alone
"""


def test_a_process_whose_first_thread_has_ended_counts_for_what_the_others_hold() -> None:
    with subprocess.Popen([sys.executable, "-c", HEADLESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as headless:
        assert headless.stdout is not None
        assert headless.stdout.readline() == b"full\n"
        assert look(60, [headless.pid])
        assert headless.wait(10) == -signal.SIGKILL


async def test_where_a_machine_has_no_pid_namespace_of_its_own_nothing_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the loopback walkthrough the processes of the whole host would be its own."""
    monkeypatch.setattr(memory, "LOOK_SECONDS", 0)
    ground = Field()
    plan, notes = replace(lay_out().machines[0], memory_mb=1), Notes()
    machine = Machine(plan, lay_out().apps[0], ground, notes, Background(notes))
    await machine.start()
    ground.programs[0].pid = os.getpid()
    watch = asyncio.create_task(memory.keep_within_memory([machine], notes))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not watch.done()
    watch.cancel()
    assert not [line for line in notes.lines if "memory" in line]


CROWD = """
import sys, threading
for _ in range(10):
    threading.Thread(target=sys.stdin.read).start()
print("full", flush=True)
"""


@pytest.mark.parametrize(("machine_mb", "ended"), [(1, True), (2, False)])
async def test_a_machine_with_more_threads_than_its_kernel_has_room_for_is_ended(machine_mb: int, ended: bool) -> None:
    """Root of a Machine may become any user, and the kernel counts each by itself."""
    plan, ground, notes = replace(lay_out().machines[0], memory_mb=machine_mb), Field(), Notes()
    machine = Machine(plan, lay_out().apps[0], ground, notes, Background(notes))
    await machine.start()
    crowd = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CROWD, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert crowd.stdout is not None
    assert await crowd.stdout.readline() == b"full\n"
    memory._look_at_number(machine, [Entry(crowd.pid, f"/proc/{crowd.pid}")], notes)  # noqa: SLF001 - one look
    crowd.kill()
    await crowd.communicate()
    assert (signal.SIGKILL in ground.programs[0].signals) is ended
    assert any("Out of processes: a machine with 1 MB has room for 8" in line for line in notes.lines) is ended
