"""A Machine is a boundary: a hostile app tries to leave it, in every way in which the lab runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.container import CONTAINER
from tests.e2e.running import PROJECT
from tests.hostile.control import alone
from tests.hostile.image import hostile_image
from tests.hostile.planting import stage
from tests.hostile.program.table import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pytestmark = pytest.mark.lab

AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
ROOT = os.geteuid() == 0
_SECONDS = 600


@cache
def may_mount() -> bool:
    """Tell whether the test may put file systems of its own in the place of the host's; root in a container may not."""
    return ROOT and subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0


@pytest.fixture
def directory() -> Iterator[Path]:
    """Return a directory that every user may enter, as pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="hostile-") as name:
        Path(name).chmod(0o755)
        Path(name, "hostile").mkdir()
        yield Path(name)


def run(program: Sequence[str | Path]) -> dict[str, Any]:
    done = subprocess.run(program, capture_output=True, text=True, timeout=_SECONDS, check=False, cwd=PROJECT)
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-6000:]}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def besiege(directory: Path, caller: Sequence[str], *image: str) -> list[str]:
    """Run a lab with the hostile app, as `caller`; return in sentences what a Machine must not let happen."""
    staged = stage(directory / "hostile") if may_mount() else []
    report = run([*staged, *caller, sys.executable, "-m", "tests.hostile.session", directory, *image])
    made, tries = report["attempts"], {attempt.name: attempt.tries for attempt in TABLE}
    assert made.keys() == tries.keys()
    wrong = [
        f"{result['outcome'].upper()}  {name}: {tries[name]}\n      {result['why']}"
        for name, result in made.items()
        if result["outcome"] not in {"refused", "excused"}
    ]
    wrong += [f"WRONG  {problem}" for problem in report["problems"]]
    return wrong and [*wrong, "the lab's log ends with:", *report["log"][-15:]]


def check(wrong: Sequence[str]) -> None:
    assert not wrong, "a Machine is no boundary:\n" + "\n".join(wrong)


@pytest.mark.long
@pytest.mark.skipif(not ROOT, reason="who runs it is an ordinary user")
def test_root_s_machine_is_a_boundary(directory: Path) -> None:
    check(besiege(directory, ()))


def test_an_ordinary_user_s_machine_is_a_boundary(directory: Path) -> None:
    caller = AS_NOBODY if ROOT else ()
    # setpriv itself may execute what only root may read; the program that it started may not, any more.
    again = "import subprocess, sys, lab.cli; subprocess.run([sys.executable, '-c', 'import lab.cli'], check=True)"
    may_read = subprocess.run([*caller, sys.executable, "-c", again], capture_output=True, check=False, cwd=PROJECT)
    if may_read.returncode != 0:
        pytest.skip("user 65534 may not read this interpreter or the project")
    if ROOT:
        for path in (directory, directory / "hostile"):
            os.chown(path, 65534, 65534)
    check(besiege(directory, caller))


@pytest.mark.long
def test_the_machine_of_an_image_is_a_boundary(directory: Path) -> None:
    check(besiege(directory, (), f"oci-archive:{hostile_image(directory / 'image.tar')}"))


@pytest.mark.long
def test_a_machine_in_bridge_mode_is_a_boundary(directory: Path) -> None:
    check(besiege(directory, CONTAINER))


@pytest.mark.long
def test_every_attempt_succeeds_where_there_is_no_boundary(directory: Path) -> None:
    """What cannot succeed shows nothing when it is refused; but a kernel may lack what an attempt is about."""
    if not may_mount():
        pytest.skip("without a boundary is what the host's root is, and this is not it")
    made = run([*alone(directory / "hostile"), sys.executable, "-m", "tests.hostile.control", directory])["attempts"]
    lacking = {attempt.name for attempt in TABLE if attempt.not_everywhere}
    assert made.keys() >= {attempt.name for attempt in TABLE}
    failed = {
        name: result for name, result in made.items()
        if result["outcome"] not in ({"open", "refused", "excused"} if name in lacking else {"open", "excused"})
    }  # fmt: skip
    assert not failed, "worthless attempts: they fail without a boundary, too:\n" + "\n".join(
        f"{name}: {result['outcome']}: {result['why']}" for name, result in failed.items()
    )


def test_the_table_names_each_attempt_once_and_says_what_it_tries() -> None:
    names = [attempt.name for attempt in TABLE]
    assert len(names) == len(set(names))
    assert all(attempt.tries for attempt in TABLE)
    conditions = {condition for attempt in TABLE for condition in attempt.unless}
    assert conditions <= {"unstaged", "user", "few-descriptors"}, "the conditions that planting.py knows"
