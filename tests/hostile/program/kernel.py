"""The kernel's settings and files, its log, its terminals and its hypervisor."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import pty
import socket
import termios
from typing import TYPE_CHECKING

from . import calls
from .attempts import Attempt
from .uncover import uncovering

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .attempts import Targets

_KEYS = ("/proc/kcore", "/proc/kmsg", "/proc/keys", "/proc/timer_list", "/proc/latency_stats",
         "/proc/kpagecount", "/proc/kpageflags", "/proc/vmallocinfo", "/proc/slabinfo", "/proc/pagetypeinfo",
         "/sys/kernel/debug/sched/features", "/sys/firmware/dmi/tables/DMI")  # fmt: skip
_MOST_FILES = 2000
# Settings of the Machine's own namespaces: no others feel them.
_OWN_SETTINGS = ("net/", "user/", "kernel/hostname", "kernel/domainname", "kernel/sem", "kernel/shm", "kernel/msg",
                 "fs/mqueue/")  # fmt: skip


def _can_write(path: str) -> bool:
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_WRONLY))
        return True
    return False


def open_core_pattern(_: Targets) -> str:
    place = "/proc/sys/kernel/core_pattern"
    return uncovering(lambda: f"opened {place} for writing" if _can_write(place) else "")


def open_sysrq(_: Targets) -> str:
    place = "/proc/sysrq-trigger"
    return uncovering(lambda: f"opened {place} for writing" if _can_write(place) else "")


def open_settings(_: Targets) -> str:
    """Open for writing, one after the other, the settings that the whole machine has."""
    return uncovering(lambda: _writable_below("/proc/sys", _OWN_SETTINGS))


def open_network_settings(_: Targets) -> str:
    places = ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding")
    found = [place for place in places if _can_write(place)]
    return f"opened {', '.join(found)} for writing" if found else ""


def open_sysfs(_: Targets) -> str:
    tops = ("/sys/kernel", "/sys/power", "/sys/module", "/sys/class")

    def look() -> str:
        return next(filter(None, (_writable_below(top, ("debug/", "tracing/")) for top in tops)), "")

    return uncovering(look)


def open_cgroups(_: Targets) -> str:
    """Open for writing what moves processes between control groups, or has the host run a program."""
    return uncovering(lambda: _writable_below("/sys/fs/cgroup", ()))


def _writable_below(top: str, without: tuple[str, ...]) -> str:
    found = []
    for path in _files_below(top):
        if not path[len(top) + 1 :].startswith(without or ("\0",)) and _can_write(path):
            found.append(path)
            if len(found) == 5:
                break
    return f"opened {', '.join(found)} for writing" if found else ""


def _files_below(top: str) -> Iterator[str]:
    count = 0
    for directory, _, names in os.walk(top):
        for name in names:
            count += 1
            if count > _MOST_FILES:
                return
            yield f"{directory}/{name}"


def read_the_kernels_files(_: Targets) -> str:
    def look() -> str:
        found = []
        for path in _KEYS:
            with contextlib.suppress(OSError):
                fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
                if path == "/proc/kmsg" or os.read(fd, 1):  # what is read of kmsg is lost to others
                    found.append(path)
        return f"read {', '.join(found)}" if found else ""

    return uncovering(look)


def read_the_kernels_log(_: Targets) -> str:
    size = calls.call("syslog", 3, ctypes.create_string_buffer(4096), 4096)  # SYSLOG_ACTION_READ_ALL
    return f"read {size} bytes of the kernel's log"


def push_keys_into_a_terminal(_: Targets) -> str:
    """Type, as a program, into a terminal: whoever uses it after the program would run what was typed."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    del master
    fcntl.ioctl(slave, termios.TIOCSTI, b"x")
    return "TIOCSTI typed into a terminal"


def select_on_a_console(_: Targets) -> str:
    for path in ("/dev/tty", "/dev/tty0", "/dev/tty1", "/dev/console"):
        with contextlib.suppress(OSError):
            fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
            fcntl.ioctl(fd, 0x541C, b"\x06")  # TIOCLINUX: the state of the shift keys
            return f"TIOCLINUX answers on {path}"
    raise OSError(25, "TIOCLINUX")


def talk_to_the_hypervisor(_: Targets) -> str:
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM):
        return "made a socket of AF_VSOCK, which is of no network namespace"


_MAY_LACK = "a kernel may be built without it"
ATTEMPTS = (
    Attempt("core-pattern", "open core_pattern for writing: the host runs what is in it", open_core_pattern),
    Attempt("sysrq", "open sysrq-trigger for writing", open_sysrq, not_everywhere=_MAY_LACK),
    Attempt("settings", "open the machine's settings below /proc/sys for writing", open_settings),
    Attempt("network-settings", "open ip_forward for writing", open_network_settings),
    Attempt("sysfs", "open files of /sys for writing: uevent_helper and others", open_sysfs),
    Attempt("cgroups", "open release_agent and cgroup.procs for writing", open_cgroups),
    Attempt("kernel-files", "read kcore, kmsg, keys and the like", read_the_kernels_files),
    Attempt("kernel-log", "read the kernel's log with syslog(2)", read_the_kernels_log),
    Attempt("tiocsti", "type into a terminal with TIOCSTI", push_keys_into_a_terminal),
    Attempt("tioclinux", "reach the console with TIOCLINUX", select_on_a_console,
            not_everywhere="a host may have no console"),
    Attempt("vsock", "reach the hypervisor with AF_VSOCK", talk_to_the_hypervisor, not_everywhere=_MAY_LACK),
)  # fmt: skip
