"""Nothing of a lab outlives it, however it ends."""

from __future__ import annotations

import sys

import pytest

from tests.e2e.leftovers import AT_ITS_END, ONCE_IT_HAS_FORKED, left_by
from tests.e2e.running import LAB

pytestmark = pytest.mark.lab

SCRIPT = """
echo asleep; until ! dig +short aaaa private-svc.internal | grep -q .; do :; done
echo waking; curl -s http://private-svc.flycast/healthz
echo resting; exec sleep 1000
"""
MOMENTS = {
    "as soon as it has forked": ONCE_IT_HAS_FORKED,
    "while the Machine starts": "Starting machine",
    "when a program begins on the shell Machine": "asleep",
    "while the Machine stops": "Sending signal SIGINT",
    "while a request wakes the Machine": "waking",
    "when all is calm": "resting",
}
QUICK = "as soon as it has forked", "while a request wakes the Machine"
HOLD_A_DOOR = "import socket, time; s = socket.socket(socket.AF_UNIX); s.bind('\\0door'); time.sleep(1000)"


@pytest.mark.parametrize(
    "moment", [moment if moment in QUICK else pytest.param(moment, marks=pytest.mark.long) for moment in MOMENTS]
)
def test_kill_9_leaves_no_process_namespace_mount_interface_socket_or_file(moment: str) -> None:
    options = ["--autostop-interval", "0.3", "--log", "/dev/stdout"]
    assert left_by([*LAB, "run", *options, "--", "sh", "-c", SCRIPT], MOMENTS[moment]) == []


def test_a_lab_that_ends_by_itself_leaves_nothing_either() -> None:
    assert left_by([*LAB, "run", "--", "true"], AT_ITS_END) == []


@pytest.mark.parametrize(
    ("script", "left"),
    [
        ("sleep 1000 >&- & echo ready", ["process"]),
        ("setsid -f sleep 1000 >&-", ["process"]),
        ("setsid -f unshare --net sleep 1000 >&-", ["process"]),
        (f'setsid -f {sys.executable} -c "{HOLD_A_DOOR}" >&-; until grep -q @door /proc/net/unix; do :; done',
         ["process", "socket @door"]),
        ("mktemp $TMPDIR/leftXXX", ["file /run/tmp/left"]),
        ("touch $HOME/left", ["file /run/home/left"]),
        ("touch /dev/shm/left", ["file /dev/shm/left"]),
        ("rm -r $HOME", ["gone: file /run/home"]),
        ("mount -t tmpfs left /mnt", ["mount"]),
        ("unshare --mount --propagation unchanged mount -t tmpfs left /mnt", ["mount"]),
        ("touch /run/left; unshare --net=/run/left true", ["file /run/left", "mount"]),
        ("ip link add left type veth peer name right", ["interface left@right", "interface right@left"]),
    ],
    ids=[
        "process", "daemon", "namespace", "door", "temporary file", "file at home", "shared memory", "missing file",
        "mount", "mount of a namespace that shows outside", "namespace that a mount keeps", "interface",
    ],
)  # fmt: skip
def test_what_a_program_leaves_is_found(script: str, left: list[str]) -> None:
    found = left_by(["sh", "-ec", script], AT_ITS_END, within_seconds=0.2)
    assert len(found) == len(left), found
    assert all(line.startswith(what) for line, what in zip(found, left, strict=True)), found
