"""One lab with a hostile app in it, from the caller's first step to the last trace of it.

usage: python -m tests.hostile.session DIRECTORY [IMAGE]

Run behind what makes the caller somebody else, or puts all of it into a container; it prints one JSON object: what
came of each attempt, and as sentences what else was wrong.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.control import door_name
from tests.e2e import leftovers
from tests.e2e.running import PROJECT, RunningLab
from tests.hostile.aftermath import LOOKS
from tests.hostile.apps import pids_of, write_apps
from tests.hostile.planting import CALLER, SECRET, Plants
from tests.hostile.siege import Siege

if TYPE_CHECKING:
    from collections.abc import Iterable

_GONE_SECONDS = 20


def besiege(directory: Path, image: str) -> dict[str, Any]:
    """Bring the lab up, attack from inside, take it down; return the attempts and the problems."""
    app = directory / "hostile"
    with Plants(directory, app) as plants:
        configs = write_apps(directory, plants, with_image=bool(image))
        environment = {**os.environ, CALLER: plants.marker["caller"]}
        options = ["--org", f"other={configs.pop('stranger')}", "--secret", f"{SECRET}={plants.marker['secret']}"]
        options += [f"--image=hostile={image}"] if image else []
        mounts = _mounts()
        with RunningLab(
            *options, configs=list(configs.values()), before=("setsid", "--ctty"), env=environment,
            stdin=plants.terminal, pass_fds=(plants.open_directory,), cwd=PROJECT,
        ) as lab:  # fmt: skip
            siege = Siege(lab, plants)
            attempts = siege.attack()
            for look in LOOKS:
                try:
                    look(siege)
                except (AssertionError, ValueError, subprocess.TimeoutExpired) as error:
                    siege.problems.append(f"{look.__name__.replace('_', ' ')}: {error}")
            members = _handles(leftovers.family(lab.process.pid))
        problems = siege.problems
        if left := _outlasting(members):
            problems.append(f"processes outlast the lab: {left}")
        if daemons := pids_of(plants.daemon):
            problems.append(f"a daemon outlasts the lab: {daemons}")
        if door_name(os.geteuid(), lab.process.pid)[1:] in Path("/proc/net/unix").read_text("utf-8", "replace"):
            problems.append("the lab's door outlasts it")
        if left_mounts := _mounts() - mounts:
            problems.append(f"mounts outlast the lab: {left_mounts}")
        if "Traceback" in (log := "\n".join(line for line in lab.lines if " app[" not in line)):
            problems.append(f"the lab's log has a traceback:\n{log[log.index('Traceback') :][:3000]}")
    return {"attempts": attempts, "problems": problems, "log": lab.lines}


def _mounts() -> set[str]:
    return set(Path("/proc/self/mountinfo").read_text().splitlines())


def _handles(pids: Iterable[int]) -> dict[int, int]:
    """Return a descriptor of each process that lives: a number alone may be used again."""
    found = {}
    for pid in pids:
        with suppress(ProcessLookupError):
            found[pid] = os.pidfd_open(pid)
    return found


def _outlasting(members: dict[int, int]) -> list[int]:
    """Return those that have not ended after a while."""
    return [pid for pid, handle in members.items() if not select.select([handle], [], [], _GONE_SECONDS)[0]]


if __name__ == "__main__":
    print(json.dumps(besiege(Path(sys.argv[1]), *sys.argv[2:] or [""])))
