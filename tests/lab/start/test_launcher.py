from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

LEAVES_WITHOUT_A_WORD = """
import os, sys
from lab.sandbox import run_in_sandbox

def inside():
    from lab.start.launcher import Launcher
    launcher = Launcher(64)
    if sys.argv[1:]:
        launcher.wait_until_ready()
    launcher._socket.close()
    os.wait()
    return 0

sys.exit(run_in_sandbox(inside))
"""
LIBC_S_OWN = 0b11 << 31  # signals 32 and 33, which posix_spawn of glibc leaves ignored
IN_A_SANDBOX = """
import asyncio, os, signal, sys
from lab.sandbox import run_in_sandbox

def others():
    return {int(name) for name in os.listdir("/proc") if name.isdecimal()} - {1}

async def start(launcher, children, network, *argv):
    read, write = os.pipe()
    async def launch():
        env = {"PATH": os.defpath}
        place = sys.argv[1] if sys.argv[1:] else "/usr/share"
        files = {"hostname": "m"}
        return (await launcher.start("m", argv, env, directory=place, files=files, own=network, output=write,
                                     memory_mb=256))[0]
    try:
        pid, status = await children.adopt(launch())
    finally:
        os.close(write)
    return pid, await status, os.read(read, 4096).decode()

async def until(holds):
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0)

async def tell(launcher, network):
    from lab.children import Children
    children = Children()
    STORY
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # as a lab does before its loop ends

def inside():
    from lab.start.launcher import Launcher
    launcher = Launcher(64)
    assert launcher.wait_until_ready() == []
    (network,) = launcher.networks(1)
    asyncio.run(tell(launcher, network))
    return 0

sys.exit(run_in_sandbox(inside))
"""


def told(story: str, *arguments: str) -> str:
    """Run a story in the lab's namespaces; return what it prints."""
    script = IN_A_SANDBOX.replace("STORY", story.strip().replace("\n", "\n    "))
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.mark.lab
@pytest.mark.parametrize("ready", [[], ["ready"]], ids=["while it begins", "when it is ready"])
def test_a_lab_that_ends_ends_its_zygote_quietly(ready: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEAVES_WITHOUT_A_WORD, *ready], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.lab
def test_a_start_moves_into_the_init_that_was_made_ready() -> None:
    said = told("""
before = others()
for _ in range(3):
    launcher.prepare()
await until(lambda: others() - before)
(ready,) = others() - before
pid, status, output = await start(launcher, children, network, "hostname")
print(pid == ready, status, output.strip())
pid, status, output = await start(launcher, children, network, "hostname")
print(pid == ready, status, output.strip())
""")
    assert said.splitlines() == ["True 0 m", "False 0 m"], "one init is kept ready, and used once"


@pytest.mark.lab
def test_an_init_that_was_killed_while_it_waited_is_not_used() -> None:
    said = told("""
before = others()
launcher.prepare()
await until(lambda: others() - before)
(ready,) = others() - before
os.kill(ready, 9)
await until(lambda: ready not in others())
pid, status, output = await start(launcher, children, network, "hostname")
print(status, output.strip())
""")
    assert said == "0 m\n"


@pytest.mark.lab
def test_an_init_that_was_made_ready_sees_what_the_host_changed_since(tmp_path: Path) -> None:
    said = told(
        """
place = sys.argv[1]
before = others()
open(f"{place}/changed", "w").write("old")
launcher.prepare()
await until(lambda: others() - before)
(ready,) = others() - before
await until(lambda: " /dev/shm " in open(f"/proc/{ready}/mountinfo").read())
open(f"{place}/new", "w").write("new")
os.replace(f"{place}/new", f"{place}/changed")
print(await start(launcher, children, network, "cat", f"{place}/changed") == (ready, 0, "new"))
""",
        str(tmp_path),
    )
    assert said == "True\n"


@pytest.mark.lab
def test_many_starts_at_once_all_come_up_and_a_program_there_is_not_is_named() -> None:
    said = told("""
found = await asyncio.gather(*(start(launcher, children, network, "echo", str(n)) for n in range(12)))
print([status for _, status, _ in found], [output.strip() for *_, output in found])
from lab.errors import CommandError
for argv in (["no-such-program"], ["/"], ["nul" + chr(0)]):
    try:
        await start(launcher, children, network, *argv)
    except CommandError as error:
        print(error.status)
""")
    numbers = [str(n) for n in range(12)]
    assert said.splitlines() == [f"{[0] * 12} {numbers}", "127", "126", "126"]


@pytest.mark.lab
def test_what_an_app_inherits_is_its_three_streams_and_no_blocked_or_ignored_signal() -> None:
    said = told("""
script = "ls /proc/self/fd; sed -n 's/^Sig[BI].*://p' /proc/self/status; echo $$ $(ps -o pid= -o sid= -p $$)"
print((await start(launcher, children, network, "sh", "-c", script))[2])
""")
    *descriptors, blocked, ignored, pid, _, session = said.split()
    assert descriptors == ["0", "1", "2", "3"], "the last one is the listing's own"
    assert (int(blocked, 16), int(ignored, 16) & ~LIBC_S_OWN) == (0, 0), said
    assert pid == session == "2"


@pytest.mark.lab
def test_a_request_that_nobody_carries_out_ends_and_holds_up_no_other() -> None:
    """An app can stop a program of `exec` before it begins, and an image can have its init wait for ever."""
    said = told("""
from lab.errors import LabError
from lab.start import launcher as module
before = others()
(zygote,) = before
os.kill(zygote, signal.SIGSTOP)
patience, module._PATIENCE_SECONDS = module._PATIENCE_SECONDS, 0.1
for _ in range(4):
    try:
        await start(launcher, children, network, "hostname")
    except LabError as error:
        print(error)
module._PATIENCE_SECONDS = patience
os.kill(zygote, signal.SIGCONT)
pid, status, output = await start(launcher, children, network, "hostname")
print(status, output.strip())
await until(lambda: others() == before)
""")
    assert said.splitlines() == ["the Machine has not carried that out within 0.1 s"] * 4 + ["0 m"]
