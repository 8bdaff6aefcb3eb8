"""What a process gives up stays given up, for it and for all that it starts."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.running import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.lab

IN_A_SANDBOX = """
import ctypes, os, re, subprocess, sys
from pathlib import Path
from lab.linux import privileges
from lab.sandbox import run_in_sandbox

libc = ctypes.CDLL(None, use_errno=True)

def capabilities(status):
    return [int(value, 16) for value in re.findall(r"^Cap...:\\t(\\w+)$", status, re.MULTILINE)]

def own():
    return capabilities(Path("/proc/self/status").read_text())

def inside():
    STORY
    return 0

sys.exit(run_in_sandbox(inside))
"""


def told(story: str) -> list[str]:
    """Run a story as the lab's root, in namespaces of its own; return the lines it prints."""
    script = IN_A_SANDBOX.replace("STORY", story.strip().replace("\n", "\n    "))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=PROJECT, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.splitlines()


def test_only_the_kept_capabilities_are_had_and_no_program_gets_another() -> None:
    wanted = 1 << 0 | 1 << 5 | 1 << 31
    lines = told("""
kept = (0, 5, 31)
privileges.limit_capabilities(kept)
privileges.keep_only(kept)
print(*own())
print(*capabilities(subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True).stdout))
""")
    inheritable, *had, ambient = map(int, lines[0].split())
    assert (inheritable, ambient) == (0, 0)
    assert had == [wanted] * 3, "permitted, effective, bounding"
    assert lines[1] == lines[0], "root's programs have the same"


def test_a_capability_that_was_given_up_cannot_be_taken_again() -> None:
    said = told("""
from lab.errors import RefusedError
privileges.limit_capabilities((0, 8))
privileges.keep_only((0, 8))
for again in ((0, 8, 21), (0, 8, 31)):
    try:
        privileges.keep_only(again)
    except RefusedError as error:
        print(error)
""")
    assert said == ["capset: EPERM (Operation not permitted)"] * 2


def test_capabilities_above_31_are_given_up_as_well() -> None:
    assert told("""
from lab.linux.privileges import limit_capabilities, keep_only
limit_capabilities((39,))
keep_only((39,))
print([value == 1 << 39 for value in own()[1:4]])
""") == ["[True, True, True]"]


def test_memory_is_hidden_until_another_program_is_executed() -> None:
    """PR_GET_DUMPABLE is 3, PR_SET_DUMPABLE 4; the lab's own process has hidden its memory before this story begins."""
    assert told("""
print(libc.prctl(3, 0, 0, 0, 0))
libc.prctl(4, 1, 0, 0, 0)
print(libc.prctl(3, 0, 0, 0, 0))
privileges.hide_memory()
print(libc.prctl(3, 0, 0, 0, 0))
program = "import ctypes; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
print(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip())
""") == ["0", "1", "0", "1"]


def test_the_session_keyring_is_another_and_what_was_in_it_is_not() -> None:
    said = told("""
keyctl = {"x86_64": 250}.get(os.uname().machine, 219)
add_key = {"x86_64": 248}.get(os.uname().machine, 217)
session = ctypes.c_int(-3)
looked_for = (b"user", b"flycast-lab-test")
if libc.syscall(keyctl, 0, session, 1) < 0:
    print("none")
else:
    libc.syscall(add_key, *looked_for, b"secret", 6, session)
    before, found = libc.syscall(keyctl, 0, session, 0), libc.syscall(keyctl, 10, session, *looked_for, 0)
    privileges.leave_keyrings()
    after, lost = libc.syscall(keyctl, 0, session, 0), libc.syscall(keyctl, 10, session, *looked_for, 0)
    print(before != after, found > 0, lost)
""")
    if said == ["none"]:
        pytest.skip("a kernel without keys")
    assert said == ["True True -1"]


def test_nothing_is_imported_from_files_any_more_and_what_was_stays(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text("print('the file of somebody else ran')")
    script = """
import sys, json
from lab.linux.privileges import stop_importing
stop_importing()
sys.path.insert(0, sys.argv[1])
import json
try:
    import planted
except ImportError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=PROJECT,
        check=True,
    )
    assert done.stdout == "No module named 'planted'\n"
