"""How much of the host an app can use up from its Machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.start import rules
from tests.e2e.stranger import found_by, stranger

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.lab

COUNTS = """
import os
found = {}
for line in open("/proc/self/mountinfo"):
    place, kind = line.split()[4], line.split(" - ")[1].split()[0]
    if kind in ("tmpfs", "overlay") and not os.statvfs(place).f_flag & os.ST_RDONLY:
        status = os.statvfs(place)
        found[place] = (status.f_files, status.f_blocks * status.f_frsize >> 20)
print("found:", found)
"""


def test_every_file_system_in_memory_has_a_bounded_number_of_files(tmp_path: Path) -> None:
    """Half a million empty files take half a gigabyte of the kernel's memory, which no size of a file counts."""
    found = found_by(stranger(tmp_path / "app", COUNTS))
    assert {"/", "/etc", "/dev/shm", str(tmp_path / "app")} <= found.keys(), found  # noqa: S108 - the Machine's own
    unbounded = {place: (files, size) for place, (files, size) in found.items() if not 0 < files <= 64 * size}
    assert not unbounded, f"more than 64 files a megabyte: {unbounded}"


TERMINALS = """
import os
kept = []
try:
    while True:
        kept += [os.open("/dev/ptmx", os.O_RDWR)]
except OSError as error:
    print("found:", len(kept))
"""


def test_terminals_are_left_for_the_host(tmp_path: Path) -> None:
    assert found_by(stranger(tmp_path / "app", TERMINALS)) == rules.TERMINALS


SIGNALS = """
import ctypes, os, signal
libc = ctypes.CDLL(None)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
count = 0
while libc.sigqueue(os.getpid(), int(signal.SIGRTMIN), None) == 0:
    count += 1
print("found:", count)
"""


def test_signals_that_wait_are_left_for_the_caller(tmp_path: Path) -> None:
    """They count for the user who started the lab, whose other programs then have no timer and no such signal."""
    assert found_by(stranger(tmp_path / "app", SIGNALS)) <= rules.processes(256)
