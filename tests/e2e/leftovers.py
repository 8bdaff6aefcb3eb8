"""What a program leaves behind on its host: processes, mounts, interfaces, sockets, files.

It runs on a host of its own: namespaces in which nobody else makes anything, so that every difference is its work, and
an empty `/run` with TMPDIR and HOME below.  `python -m tests.e2e.leftovers` is what runs there and looks.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.running import DEADLINE_SECONDS, PROJECT

if TYPE_CHECKING:
    from collections.abc import Sequence

AT_ITS_END, ONCE_IT_HAS_FORKED = "at its end", "once it has forked"
GONE_SECONDS = 20.0
_NAMESPACES = ("net", "mnt", "pid", "uts", "ipc", "user")
_DIRECTORIES = ("/run", "/dev/shm")  # noqa: S108 - looked at, never written
_PR_SET_CHILD_SUBREAPER = 36
_OWN_HOST = """
resolver=$(realpath -m /etc/resolv.conf)
mount -t tmpfs none /run
mount -t tmpfs none /dev/shm
mkdir -p "$TMPDIR" "$HOME" "${resolver%/*}"
[ -e "$resolver" ] || touch "$resolver"
mount --make-rshared /  # so that a mount which is not kept private shows here
exec "$@"
"""


def left_by(command: Sequence[str], moment: str, within_seconds: float = GONE_SECONDS) -> list[str]:
    """Run `command` and kill it when it prints the words `moment`; return what is left of it after a while.

    `moment` may also be `ONCE_IT_HAS_FORKED`, or `AT_ITS_END`, when nothing is killed.
    """
    as_root = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0
    namespaces = ["--mount", "--net", *(() if as_root else ("--user", "--map-root-user"))]
    look = [sys.executable, "-m", "tests.e2e.leftovers", str(within_seconds), moment]
    done = subprocess.run(
        ["unshare", *namespaces, "sh", "-ec", _OWN_HOST, "host", *look, *command],
        cwd=PROJECT, env={**os.environ, "TMPDIR": "/run/tmp", "HOME": "/run/home", "PYTHONUNBUFFERED": "1"},
        capture_output=True, text=True, timeout=2 * DEADLINE_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def family(pid: int) -> set[int]:
    """Return every descendant of `pid`, itself included."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = {pid}
    while grown := {child for child, parent in parents.items() if parent in found} - found:
        found |= grown
    return found & parents.keys()


def namespaces(members: set[int]) -> set[str]:
    """Return the namespaces those processes are in and we are not."""
    return {name for pid in members for name in _namespaces_of(pid)} - _namespaces_of(os.getpid())


def _namespaces_of(pid: int) -> set[str]:
    names = set()
    for kind in _NAMESPACES:
        with suppress(OSError):
            names.add(str(Path(f"/proc/{pid}/ns/{kind}").readlink()))
    return names


def _snapshot() -> set[str]:
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    sockets = [line.split()[7:] for line in Path("/proc/net/unix").read_text("utf-8", "replace").splitlines()[1:]]
    return {
        *(f"mount {line}" for line in Path("/proc/self/mountinfo").read_text().splitlines()),
        *(f"interface {line.split(': ')[1]}" for line in links.splitlines()),
        *(f"socket {' '.join(name)}" for name in sockets if name),
        *(f"file {path}" for top in _DIRECTORIES for path in Path(top).rglob("*")),
    }


def _descendants() -> set[int]:
    """Return those that live; without a child there are none, as this process adopts the orphans of its family."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return set()
    return family(os.getpid()) - {os.getpid()}


def _left(before: set[str]) -> list[str]:
    now = _snapshot()
    return [
        *(f"process {pid}: {_command_of(pid)}" for pid in sorted(_descendants())),
        *sorted(now - before),
        *(f"gone: {what}" for what in sorted(before - now)),
    ]


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return "it has just ended"


def _run_until(moment: str, command: Sequence[str]) -> None:
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        if moment == AT_ITS_END:
            program.wait(DEADLINE_SECONDS)
            return
        if moment == ONCE_IT_HAS_FORKED:
            while len(family(program.pid)) == 1 and program.poll() is None:
                pass
        elif not any(moment in line for line in program.stdout):
            raise AssertionError(f"it ended before it said {moment!r}")
        program.kill()
        assert program.wait(DEADLINE_SECONDS) == -signal.SIGKILL, "it ended by itself"


def main(arguments: Sequence[str]) -> None:
    """Run the program and print a line for each thing that is left of it, then end the processes among them."""
    within_seconds, moment, *command = arguments
    assert ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1) == 0
    before = _snapshot()
    _run_until(moment, command)
    end = time.monotonic() + float(within_seconds)
    while (left := _left(before)) and time.monotonic() < end:
        time.sleep(0.01)
    for what in left:
        print(what)
    for pid in _descendants():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
