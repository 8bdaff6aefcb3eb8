"""The hostile app of the soak, in an organisation of its own: it takes all that there is, and tries to get out.

usage: python hostile.py SEED
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PAUSE_SECONDS = (0.2, 1.5)
_CLONE_NEWUSER, _CLONE_NEWNS, _MNT_DETACH = 0x10000000, 0x00020000, 2
_libc = ctypes.CDLL(None, use_errno=True)


def take_mounts_away() -> None:
    """Take away what covers the host's files."""
    _libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS)
    for place in (b"/tmp", b"/run", b"/dev", b"/proc", b"/etc", b"/usr", b"."):
        _libc.umount2(place, _MNT_DETACH)
    _libc.mount(b"tmpfs", b"/mnt", b"tmpfs", 0, None)


def fill_files() -> None:
    """Write until there is no room."""
    with contextlib.suppress(OSError), open("/tmp/full", "wb", buffering=0) as file:  # noqa: PTH123, S108
        while True:
            file.write(bytes(1 << 20))
    os.unlink("/tmp/full")  # noqa: PTH108, S108


def fork() -> None:
    """Have as many processes as there may be."""
    with contextlib.suppress(OSError):
        for _ in range(2000):
            if os.fork() == 0:
                time.sleep(1)
                os._exit(0)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def open_files() -> None:
    """Have as many descriptors as there may be."""
    opened = []
    with contextlib.suppress(OSError):
        while True:
            opened.append(os.open("/dev/null", os.O_RDONLY))
    for descriptor in opened:
        os.close(descriptor)


def hold_memory() -> None:
    """Hold more than the Machine has, in a file that nobody maps; the lab ends it for that."""
    file = os.memfd_create("held")
    for _ in range(500):
        os.write(file, bytes(1 << 20))
    time.sleep(1)


def kill_everybody() -> None:
    """Send a signal to whoever can be reached."""
    for pid in (-1, *range(1, 300)):
        if pid != os.getpid():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def call_others() -> None:
    """Connect to every IPv4 address that a Machine of this lab may have, and to the lab's."""
    for last in range(1, 64):
        with contextlib.suppress(OSError), socket.create_connection((f"172.19.0.{last}", 8080), 0.01) as reached:
            reached.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nFly-Client-IP: 192.0.2.1\r\n\r\n")


def shout() -> None:
    """Print more than anybody reads."""
    for number in range(5000):
        print("noise", number, "x" * 200, flush=True)


def ask_names() -> None:
    """Send the nameserver what is no question."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as asking:
        for _ in range(500):
            asking.sendto(os.urandom(random.randrange(1, 600)), ("fdaa::3", 53))  # noqa: S311


def ask_the_lab() -> None:
    """Send the socket of this Machine's own what is no request, and leave."""
    for _ in range(50):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(1)
            asking.connect("/.fly/api")
            asking.sendall(os.urandom(2000))


ATTACKS: tuple[Callable[[], None], ...] = (
    take_mounts_away, fill_files, fork, open_files, hold_memory, kill_everybody, call_others, shout, ask_names,
    ask_the_lab,
)  # fmt: skip


def main() -> None:
    """Attack in a random order, each time in a process of its own, until somebody ends this one."""
    rng = random.Random(sys.argv[1])  # noqa: S311 - the same order every time
    while True:
        child = os.fork()
        if child == 0:
            with contextlib.suppress(OSError):
                rng.choice(ATTACKS)()
            os._exit(0)
        rng.random()  # this process goes on in the sequence, too
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)
        time.sleep(rng.uniform(*PAUSE_SECONDS))


if __name__ == "__main__":
    main()
