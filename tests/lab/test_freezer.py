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


HEADLESS = """
import ctypes, os, threading, time
SYS_EXIT = {"x86_64": 60}.get(os.uname().machine, 93)
def go_on():
    first = threading.main_thread().native_id
    while open(f"/proc/self/task/{first}/stat").read().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.001)
    print("up", flush=True)
    while True:
        pass
threading.Thread(target=go_on).start()
ctypes.CDLL(None).syscall(SYS_EXIT, 0)  # this thread alone
"""


def test_a_process_stands_still_whose_first_thread_has_ended() -> None:
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]
    script = f"{sys.executable} -c '{HEADLESS}' & wait"
    with subprocess.Popen([*unshare, "sh", "-c", script], stdout=subprocess.PIPE) as outer:
        assert outer.stdout is not None
        assert outer.stdout.read(3) == b"up\n"
        (init,) = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
        asyncio.run(freeze(int(init)))
        (headless,) = Path(f"/proc/{init}/task/{init}/children").read_text().split()
        threads = Path(f"/proc/{headless}/task").iterdir()
        states = {(thread / "stat").read_text().rpartition(")")[2].split()[0] for thread in threads}
        outer.kill()
    assert states == {"Z", "T"}


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
