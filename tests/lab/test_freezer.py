from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.freezer import freeze, thaw

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab

WAIT_SECONDS = 10
FAMILY = """
import os
children = [os.fork() for _ in range(2)]
if 0 in children:
    os.setsid()  # a daemon: no process group reaches it
os.write(1, b"u")
while os.getpid() == 1:
    if (child := os.fork()) == 0:
        os._exit(0)  # always one more on its way
    os.waitpid(child, 0)
while True:
    pass
"""


@pytest.fixture
def init() -> Iterator[int]:
    """Pid 1 of a pid namespace of its own, as this namespace numbers it, with busy children and more coming."""
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    with subprocess.Popen([*unshare, sys.executable, "-c", FAMILY], stdout=subprocess.PIPE) as outer:
        assert outer.stdout is not None
        assert outer.stdout.read(4) == b"uuuu"
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text()
        yield int(children)
        outer.kill()


def states(init: int) -> dict[int, str]:
    namespace = Path(f"/proc/{init}/ns/pid").stat().st_ino
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and (entry / "ns/pid").stat().st_ino == namespace:
                found[int(entry.name)] = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


async def test_every_process_of_the_namespace_stands_still_and_goes_on(init: int) -> None:
    await freeze(init)
    frozen = states(init)
    assert len(frozen) >= 4, frozen
    assert set(frozen.values()) <= {"T", "Z"}, frozen
    thaw(init)
    async with asyncio.timeout(WAIT_SECONDS):
        while "T" in states(init).values():  # noqa: ASYNC110 - only a parent is told
            await asyncio.sleep(0.001)


async def test_a_namespace_that_has_ended_is_frozen_already(init: int) -> None:
    handle = os.pidfd_open(init)
    os.kill(init, signal.SIGKILL)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(handle, ended.set)
    async with asyncio.timeout(WAIT_SECONDS):
        await ended.wait()
    asyncio.get_running_loop().remove_reader(handle)
    os.close(handle)
    await freeze(init)
    thaw(init)
