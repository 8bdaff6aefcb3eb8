"""What takes longer than a moment: to outlive a stop, to run while suspended, to rob whoever comes in by `exec`."""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from . import calls
from .uncover import others, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_TICK_SECONDS = 0.01
_DEAF = """
import signal, time
for number in signal.valid_signals():
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
time.sleep(600)
"""


def leave_files(paths: Iterable[str]) -> None:
    """Leave links to the host's root, and beside each a file."""
    for path in paths:
        with contextlib.suppress(OSError):
            Path(f"{path}.link").symlink_to("/proc/1/root")
            Path(path).write_text("left")


def left_files(paths: Iterable[str]) -> list[str]:
    """Return which of them are there."""
    return [path for path in paths if os.path.lexists(path) or os.path.lexists(f"{path}.link")]


def remove_files(paths: Iterable[str]) -> None:
    """Remove them."""
    for path in paths:
        with contextlib.suppress(OSError):
            Path(path).unlink()
        with contextlib.suppress(OSError):
            Path(f"{path}.link").unlink()


def leave_a_daemon(name: str) -> None:
    """Leave a process that ignores every signal, is nobody's child and has that name in its command line."""
    child = os.fork()
    if child == 0:
        os.setsid()
        subprocess.Popen(
            [sys.executable, "-c", _DEAF, name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os._exit(0)
    os.waitpid(child, 0)


class Clocks:
    """Two processes that note the longest time in which they did not run: one here, one in a pid namespace below."""

    def __init__(self) -> None:
        """Start both; the second is missing where it is refused."""
        self._gaps = mmap.mmap(-1, 16)
        self._start(0, lambda: None)
        self._start(8, _enter_a_pid_namespace)

    def gaps(self) -> dict[str, float]:
        """Return seconds; a process that never ran has 0."""
        here, nested = struct.unpack("dd", self._gaps[:16])
        return {"here": here, "nested": nested}

    def _start(self, at: int, enter: Callable[[], None]) -> None:
        child = os.fork()
        if child == 0:
            with contextlib.suppress(OSError):
                enter()
                if os.fork() == 0:
                    self._tick(at)
            os._exit(0)
        os.waitpid(child, 0)

    def _tick(self, at: int) -> None:
        longest = last = 0.0
        while True:
            now = time.monotonic()
            longest, last = max(longest, now - last if last else 0), now
            self._gaps[at : at + 8] = struct.pack("d", longest)
            time.sleep(_TICK_SECONDS)


def _enter_a_pid_namespace() -> None:
    try:
        calls.call("unshare", calls.CLONE_NEWPID)
    except OSError:
        calls.become_root_of_a_user_namespace(calls.CLONE_NEWPID)


def everybody() -> set[Path]:
    """Return the other processes that there are."""
    return set(others())


def rob_newcomers(here: set[Path], markers: dict[str, str], seconds: float) -> list[str]:
    """Wait for processes that were not here before; take their environment, their files, their program."""
    found: dict[str, None] = {}
    end = time.monotonic() + seconds
    while time.monotonic() < end and not any("came" in line for line in found):
        for place in everybody() - here:
            found.update(dict.fromkeys(_rob(place, markers)))
            if "exec-victim" in text_of(place / "cmdline"):
                found[f"a newcomer came as {place}"] = None
    return list(found)


def _is_the_machine_s(path: str, held: int) -> bool:
    """Tell whether a file is the one that the Machine has under that name, as a library that is being loaded."""
    try:
        return os.path.samestat(Path(path).stat(), os.fstat(held))
    except OSError:
        return False


def _rob(place: Path, markers: dict[str, str]) -> Iterable[str]:
    if any(marker in text_of(place / "environ") for marker in markers.values()):
        yield f"{place}/environ holds the caller's environment"
    for number in range(16):
        fd = place / "fd" / str(number)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            held = os.open(fd, os.O_PATH)  # one file from here on, whatever the newcomer closes and opens meanwhile
            stack.callback(os.close, held)
            link = str(Path(f"/proc/self/fd/{held}").readlink())
            if link[:1] == "/" and not link.startswith(("/dev/", "/proc/")) and not _is_the_machine_s(link, held):
                yield f"{fd} is {link}"
            if link.startswith("/dev/pts/"):
                os.close(os.open(fd, os.O_RDWR | os.O_NOCTTY))
                yield f"{fd} is the terminal {link}, and can be opened"
