"""One lab with a hostile app in it, from the caller's first step to the last trace of it.

usage: python -m tests.hostile.session DIRECTORY [IMAGE]

Run behind what makes the caller somebody else, or puts all of it into a container; it prints one JSON object: what
came of each attempt, and as sentences what else was wrong.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.e2e import leftovers
from tests.e2e.running import PROJECT, RunningLab
from tests.hostile.aftermath import LOOKS
from tests.hostile.apps import pids_of, write_apps
from tests.hostile.planting import CALLER, SECRET, Plants
from tests.hostile.siege import Siege


def besiege(directory: Path, image: str) -> dict[str, Any]:
    """Bring the lab up, attack from inside, take it down; return the attempts and the problems."""
    app = directory / "hostile"
    with Plants(directory, app) as plants:
        configs = write_apps(directory, plants, with_image=bool(image))
        environment = {**os.environ, CALLER: plants.marker["caller"]}
        options = ["--org", f"other={configs.pop('stranger')}", "--secret", f"{SECRET}={plants.marker['secret']}"]
        options += [f"--image=hostile={image}"] if image else []
        before = leftovers.snapshot()
        with RunningLab(
            *options, configs=list(configs.values()), before=("setsid", "--ctty"), env=environment,
            stdin=plants.terminal, pass_fds=(plants.open_directory,), cwd=PROJECT,
        ) as lab:  # fmt: skip
            members: dict[int, str] = {}
            siege = Siege(lab, plants)
            attempts = siege.attack()
            for look in LOOKS:
                try:
                    look(siege)
                except (AssertionError, ValueError, subprocess.TimeoutExpired) as error:
                    siege.problems.append(f"{look.__name__.replace('_', ' ')}: {error}")
            members = leftovers.family(lab.process.pid)
        problems = siege.problems
        if left := leftovers.wait_until_gone(members):
            problems.append(f"processes outlast the lab: {left}")
        if daemons := pids_of(plants.daemon):
            problems.append(f"a daemon outlasts the lab: {daemons}")
        if leftovers.doors(lab.process.pid):
            problems.append("the lab's door outlasts it")
        if mounts := leftovers.snapshot().mounts - before.mounts:
            problems.append(f"mounts outlast the lab: {mounts}")
        if "Traceback" in (log := "\n".join(line for line in lab.lines if " app[" not in line)):
            problems.append(f"the lab's log has a traceback:\n{log[log.index('Traceback') :][:3000]}")
    return {"attempts": attempts, "problems": problems, "log": lab.lines}


if __name__ == "__main__":
    print(json.dumps(besiege(Path(sys.argv[1]), *sys.argv[2:] or [""])))
