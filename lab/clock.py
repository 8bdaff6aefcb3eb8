"""The fault clock-jump: a Machine whose wall clock is late after it was suspended, and right again a little later.

A Fly Machine comes back with the time of its suspension until something sets its clock; how late, and for how long, is
not documented (docs/fly.md, "Sleep and wake").  Linux has one wall clock for all and a namespace for the others only,
so the three calls of libc that read it are replaced by a library that is built here and preloaded into the app.

Not late are: static programs, the times of files, and waits until a time of the wall clock.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import struct
import subprocess
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.start.root import FLY_DIRECTORY, SOCKETS
from lab.states import MachineState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from lab.topology import MachinePlan

LATE_FOR_SECONDS = 3.0
_LIBRARY, _CLOCK = "clock.so", "clock"
_BUILD_SECONDS = 30
_SOURCE = """\
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static const volatile double *late_seconds;
static int (*read_clock)(clockid_t, struct timespec *);

__attribute__((constructor)) static void open_clock(void) {
    const char *path = getenv("LAB_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *page = mmap(0, sizeof *late_seconds, PROT_READ, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED) late_seconds = page;
    close(fd);
}

int clock_gettime(clockid_t which, struct timespec *now) {
    if (!read_clock) read_clock = dlsym(RTLD_NEXT, "clock_gettime");
    int status = read_clock(which, now);
    double late = late_seconds ? *late_seconds : 0;
    if (status == 0 && late > 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) {
        long long ns = now->tv_sec * 1000000000LL + now->tv_nsec - (long long)(late * 1e9);
        now->tv_sec = ns / 1000000000;
        now->tv_nsec = ns % 1000000000;
    }
    return status;
}

struct microseconds { time_t tv_sec; suseconds_t tv_usec; };

int gettimeofday(struct microseconds *now, void *zone) {
    struct timespec exact;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (now) *now = exact.tv_sec;
    return exact.tv_sec;
}
"""


def build(machines: Iterable[MachinePlan]) -> Path:
    """Compile the library where the directory of each of `machines` can link to it; raise `LabError` if that fails."""
    if any(machine.image for machine in machines):
        raise LabError("--fault clock-jump: the library is built for this host's programs, not for those of an image")
    compiler = shutil.which("cc")
    if compiler is None:
        raise LabError("--fault clock-jump: expected a C compiler, got no cc; e.g. apt install gcc libc6-dev")
    SOCKETS.mkdir(parents=True, exist_ok=True)
    library = SOCKETS / _LIBRARY
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), "-x", "c", "-", "-ldl"]
    done = subprocess.run(command, input=_SOURCE.encode(), capture_output=True, timeout=_BUILD_SECONDS, check=False)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()[:1]
        raise LabError(f"--fault clock-jump: cc failed ({' '.join(said)}); e.g. apt install libc6-dev")
    return library


def with_clock(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of an app that reads its Machine's own wall clock."""
    preload = " ".join(filter(None, (f"{FLY_DIRECTORY}/{_LIBRARY}", environment.get("LD_PRELOAD", ""))))
    return {**environment, "LD_PRELOAD": preload, "LAB_CLOCK": f"{FLY_DIRECTORY}/{_CLOCK}"}


class WallClock:
    """The wall clock of one Machine."""

    def __init__(self, directory: Path, library: Path, late_seconds: float) -> None:
        """Put the clock, right for now, and the library into the Machine's `directory`."""
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / _CLOCK
        self.late_seconds = late_seconds
        self._setting: asyncio.TimerHandle | None = None
        self._path.write_bytes(struct.pack("d", 0))
        self._path.chmod(0o644)
        os.link(library, directory / _LIBRARY)

    def follow(self, state: MachineState) -> bool:
        """Be late from a suspension until some seconds after the resume; return whether that has just begun to show."""
        if state is MachineState.SUSPENDED:
            self._forget_setting()
            self._show(self.late_seconds)
            return False
        if state is MachineState.STARTED and self._is_late() and self._setting is None:
            self._setting = asyncio.get_running_loop().call_later(LATE_FOR_SECONDS, self._set_right)
            return True
        if state is MachineState.STOPPED:
            self._set_right()
        return False

    def _is_late(self) -> bool:
        return any(self._path.read_bytes())

    def _set_right(self) -> None:
        self._forget_setting()
        self._show(0)

    def _forget_setting(self) -> None:
        if self._setting is not None:
            self._setting.cancel()
            self._setting = None

    def _show(self, late_seconds: float) -> None:
        with self._path.open("r+b", buffering=0) as clock:  # the app has this very file in its memory
            clock.write(struct.pack("d", late_seconds))
