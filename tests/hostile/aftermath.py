"""What is looked at after the attack, in the same lab: each function notes in sentences what is wrong."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import time
from typing import TYPE_CHECKING

from tests.e2e.running import DEADLINE_SECONDS, LAB
from tests.hostile.apps import PORT, pids_of
from tests.hostile.planting import CALLER
from tests.hostile.program import staying

if TYPE_CHECKING:
    from tests.hostile.siege import Siege

_SUSPENDED_SECONDS = 1.0
_PLACES = ("", "/tmp", "/var/tmp", "/run", "/dev", "/dev/shm", "/root", "/home", "/etc", "/usr", "/opt", "/srv")
_WATCH_SECONDS = 20
_VISITOR = """
import os, time
print(os.environ, flush=True)
for fd in os.listdir("/proc/self/fd"):
    try: print(fd, "->", os.readlink(f"/proc/self/fd/{fd}"), flush=True)
    except OSError: pass
print("seen", flush=True)
time.sleep(60)
"""


def what_goes_on_working(siege: Siege) -> None:
    """Look at what apps must still be able to do, and shells to see."""
    script = "dig +short aaaa victim.internal; ping -c1 -W5 victim.flycast; ping -c1 -W5 hostile.internal"
    done = siege.lab.on("shell", "sh", "-ec", script)
    siege.require(done.returncode == 0, f"names and ping fail after the attack: {done.stdout}{done.stderr}")
    machine = siege.machines["victim"]["id"]
    siege.change("stop", machine)
    siege.facts("victim")  # a request wakes it
    siege.lab.wait_for(rf"\[{machine}\].* machine started")


def what_exec_brings_along(siege: Siege) -> None:
    """Run a program on the hostile Machine, whose app watches for newcomers, with a file and terminal of ours."""
    mine = siege.plants.directory / "input.txt"
    mine.write_text(siege.plants.marker["file"])
    asking = [*LAB, "exec", "--lab", str(siege.lab.process.pid), "--machine", siege.machines["hostile"]["id"], "--"]
    watched = {"markers": {"caller": siege.plants.marker["caller"]}, "seconds": _WATCH_SECONDS}
    post = ["curl", "-sSN", "--data", json.dumps(watched), f"http://hostile.internal:{PORT}/watch"]
    with (
        mine.open() as stdin,
        subprocess.Popen(
            [*LAB, "exec", "--lab", str(siege.lab.process.pid), "--", *post], stdout=subprocess.PIPE, text=True
        ) as watching,
    ):
        assert watching.stdout is not None
        watching.stdout.readline()  # from here on it watches
        visitor = subprocess.Popen(
            [*asking, siege.python, "-c", _VISITOR, "exec-victim"],
            stdin=stdin, stdout=subprocess.PIPE, stderr=siege.plants.terminal, text=True,
            env={**os.environ, CALLER: siege.plants.marker["caller"]},
        )  # fmt: skip
        try:
            assert visitor.stdout is not None
            said = "".join(iter(visitor.stdout.readline, "seen\n"))
            seen = json.loads(watching.communicate(timeout=DEADLINE_SECONDS)[0])
        finally:
            visitor.terminate()
            visitor.communicate(timeout=DEADLINE_SECONDS)
    stolen = [line for line in seen if "came" not in line]
    siege.require(not stolen, f"exec: the hostile app took from the newcomer: {'; '.join(stolen)}")
    siege.require(any("came" in line for line in seen), f"exec: the hostile app saw no newcomer: {seen}")
    siege.require("'FLY_APP_NAME': 'hostile'" in said, f"exec: the program has not the Machine's environment:\n{said}")
    siege.require(CALLER not in said, "exec: the program has the caller's environment")
    for open_file in re.findall(r"-> (/\S+)", said):
        inside = open_file.startswith("/proc/") or open_file == os.devnull
        siege.require(inside, f"exec: the program has a file of the caller's open: {open_file}")


def what_a_shell_machine_sees(siege: Siege) -> None:
    """Let the caller's own command, below its own mounts, look for what belongs to other Machines."""
    look = "cat /proc/[0-9]*/environ; echo; echo files; ls -d /run/fly/*/api /run/etc/*; true"
    for step in ("true", "umount -l /run", "umount -l /proc"):
        done = siege.lab.on("shell", "unshare", "--mount", "sh", "-c", f"{step}; {look}")
        for name in ("victim", "stranger"):
            marker, machine = siege.plants.marker[name], siege.machines[name]["id"]
            environments, _, files = done.stdout.rpartition("\nfiles\n")
            siege.require(
                marker not in environments, f"the shell Machine, after {step}, reads the environment of {name}"
            )
            siege.require(machine not in files, f"the shell Machine, after {step}, finds files for {name}")
    own = siege.lab.on("shell", "cat", str(siege.plants.directory / "secret.txt"))
    siege.require(
        own.stdout == siege.plants.marker["file"], f"the caller's own files are not on its shell Machine: {own}"
    )


def what_a_suspension_stops(siege: Siege) -> None:
    """Suspend a Machine that has a process in a pid namespace of its own."""
    machine = siege.machines["hostile"]["id"]
    siege.ask("/stay", {"files": [], "daemon": siege.plants.daemon})
    before = json.loads(siege.ask("/gaps", {}))
    siege.change("suspend", machine)
    time.sleep(_SUSPENDED_SECONDS)  # it is this long that nothing may run
    siege.change("start", machine)
    gaps = json.loads(siege.ask("/gaps", {}))
    siege.require(gaps["here"] >= _SUSPENDED_SECONDS, f"a suspended Machine runs on: {before}, then {gaps}")
    nested = gaps["nested"] >= _SUSPENDED_SECONDS or not gaps["nested"]
    siege.require(nested, f"a process in a pid namespace of its own ran through the suspension: {gaps}")


def what_a_stop_ends(siege: Siege) -> None:
    """Stop a Machine that leaves files, links and a daemon behind; leave another daemon for the end of the lab."""
    machine, daemon = siege.machines["hostile"]["id"], siege.plants.daemon
    left = {"files": [f"{place}/left-{secrets.token_hex(8)}" for place in (*_PLACES, siege.plants.app)]}
    try:
        siege.ask("/stay", {**left, "daemon": daemon})
        siege.require(bool(pids_of(daemon)), "the daemon of the hostile app was not found when it was there")
        siege.change("stop", machine)
        siege.require(not pids_of(daemon), f"a daemon outlasts the stop of its Machine: {pids_of(daemon)}")
        siege.change("start", machine)
        found = json.loads(siege.ask("/left", left))
        siege.require(not found, f"files of the hostile app outlast a stop: {', '.join(found)}")
        outside = staying.left_files(left["files"])
        siege.require(not outside, f"files of the hostile app are the host's: {', '.join(outside)}")
        siege.ask("/stay", {"files": [], "daemon": daemon})
    finally:
        staying.remove_files(left["files"])


LOOKS = (
    what_goes_on_working, what_exec_brings_along, what_a_shell_machine_sees, what_a_suspension_stops, what_a_stop_ends,
)  # fmt: skip
