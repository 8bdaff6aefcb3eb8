from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lab import processes
from tests.e2e.running import PROJECT

pytestmark = pytest.mark.lab

UNSHARE = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child")
FAMILY = """
import asyncio, os, signal
from pathlib import Path
from lab import namespaces
from lab.freezer import freeze, thaw
from lab.processes import directory, in_namespaces, namespace_of

def states():
    entries = in_namespaces({namespace_of(init)})[namespace_of(init)]
    assert entries[0].pid == init, entries
    assert entries[0].directory == directory(init), entries
    return [Path(entry.directory, "stat").read_text().rpartition(")")[2].split()[0] for entry in entries]

namespaces.unshare(namespaces.CLONE_NEWPID)
news, tell = os.pipe()
init = os.fork()
if init == 0:
    os.fork()
    os.setsid()
    os.write(tell, b"u")
    while True:
        pass
assert os.read(news, 1) + os.read(news, 1) == b"uu"
number = int(directory(init).rpartition("/")[2])
asyncio.run(freeze(init))
frozen = states()
thaw(init)
print("same" if number == init else "other", *frozen, "T" in states())
os.kill(init, signal.SIGKILL)
os.waitpid(init, 0)
print(namespace_of(init))
"""


@pytest.mark.parametrize(
    ("options", "number"),
    [pytest.param(("--mount-proc",), "same", id="own /proc"), pytest.param((), "other", id="/proc of outside")],
)
def test_a_family_is_found_frozen_and_thawed_by_its_own_numbers(options: tuple[str, ...], number: str) -> None:
    """Where /proc is that of another pid namespace it has other numbers than kill(2) takes."""
    command = [*UNSHARE, *options, sys.executable, "-c", FAMILY]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=PROJECT, check=False)
    assert done.stdout.splitlines() == [f"{number} T T False", "0"], done.stdout + done.stderr


def test_a_process_that_has_ended_is_in_no_namespace() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert processes.namespace_of(process.pid) == 0


def test_the_processes_of_our_own_namespace_include_this_one() -> None:
    namespace = processes.namespace_of(os.getpid())
    entries = processes.in_namespaces({namespace})[namespace]
    assert os.getpid() in [entry.pid for entry in entries]
