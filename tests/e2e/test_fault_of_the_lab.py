"""A lab of which a part has ended by a fault of its own does not stay up as though nothing were the matter."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.e2e.running import DEADLINE_SECONDS, PROJECT

pytestmark = pytest.mark.lab

BROKEN = """
import asyncio, sys
import lab.autostop
def broken(*_, **__):
    raise RuntimeError("broken on purpose")
async def broken_later(*_, **__):
    broken()
{break_it}
sys.argv[0] = "flycast-lab"
from lab.__main__ import entry
entry()
"""
FAULTS = {
    "autostop of app private-svc": "lab.autostop.machines_to_stop = broken",
    "the door for other terminals": "asyncio.SelectorEventLoop.sock_accept = broken_later",
}


@pytest.mark.parametrize("part", FAULTS)
@pytest.mark.parametrize("arguments", [("up",), ("run", "--", "sleep", "99")], ids=["up", "run"])
def test_a_part_of_the_lab_that_ends_unexpectedly_ends_the_lab_with_its_reason(
    part: str, arguments: tuple[str, ...]
) -> None:
    verb, *program = arguments
    argv = [sys.executable, "-c", BROKEN.format(break_it=FAULTS[part]), verb, "--autostop-interval", "0.2", *program]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_SECONDS, cwd=PROJECT, check=False)
    said = f"{part} has ended unexpectedly: RuntimeError: broken on purpose (raised in "
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"flycast-lab: the lab ends, because {said}" in done.stderr
    assert f"lab [error] {said}" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
