"""Calls that a Machine has no use for, and the rights that they take."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import signal
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from . import calls
from .attempts import Attempt, NotTriedError
from .uncover import text_of

if TYPE_CHECKING:
    from .attempts import Targets

# What Docker leaves a container by default; the others are its bound.
_KEPT = {"chown": 0, "dac_override": 1, "fowner": 3, "fsetid": 4, "kill": 5, "setgid": 6, "setuid": 7, "setpcap": 8,
         "net_bind_service": 10, "net_raw": 13, "sys_chroot": 18, "mknod": 27, "audit_write": 29,
         "setfcap": 31}  # fmt: skip


def set_the_clock(_: Targets) -> str:
    """Set the clock's tick to what it is: whoever may do that may set the clock."""
    state = ctypes.create_string_buffer(256)
    calls.call("clock_adjtime", 0, state)
    tick_at = 88  # struct timex of a 64-bit processor
    tick = struct.unpack_from("q", state, tick_at)[0]
    asked = ctypes.create_string_buffer(256)
    struct.pack_into("I", asked, 0, 0x4000)  # ADJ_TICK
    struct.pack_into("q", asked, tick_at, tick)
    calls.call("clock_adjtime", 0, asked)
    return f"set the clock's tick to the {tick} that it was"


def _has_the_right(name: str, *arguments: int | bytes | None) -> str:
    """Make a call that must fail, by its arguments if not for want of the right to make it: EPERM says which."""
    try:
        calls.call(name, *arguments)
    except PermissionError:
        raise
    except OSError as error:
        if error.errno == 38:  # ENOSYS
            raise
        return f"{name} has the right, and fails for its arguments alone: {error.strerror}"
    return f"{name} succeeds"


def reboot(_: Targets) -> str:
    return _has_the_right("reboot", 1, 2, 3, None)  # wrong magic numbers: nothing happens


def load_a_kernel(_: Targets) -> str:
    return _has_the_right("kexec_load", 0, 0, None, 0xFFFF)


def load_a_module(_: Targets) -> str:
    return _has_the_right("init_module", None, 0, b"")


def swap_on(_: Targets) -> str:
    return _has_the_right("swapon", b"/no/such/file", 0)


def reach_ports(_: Targets) -> str:
    if platform.machine() != "x86_64":
        raise NotTriedError("this processor has no ports")
    calls.call("ioperm", 0x80, 1, 1)
    return "ioperm gave a port of the processor"


def load_bpf(_: Targets) -> str:
    fd = calls.call("bpf", 0, struct.pack("5I", 2, 4, 4, 1, 0) + bytes(100), 120)  # BPF_MAP_CREATE of an array
    return f"bpf made a map: descriptor {fd}"


def measure_performance(_: Targets) -> str:
    refused = OSError(1, "perf_event_open")
    for pid, cpu, flags in (
        (-1, 0, 0),
        (0, -1, 1 << 5 | 1 << 6),
    ):  # all of a processor; this process without the kernel
        try:
            calls.call(
                "perf_event_open", struct.pack("IIQQQQQ", 1, 112, 0, 0, 0, 0, flags) + bytes(64), pid, cpu, -1, 0
            )
        except OSError as error:
            refused = error
        else:
            return f"perf_event_open gave events of {'a whole processor' if pid < 0 else 'this process'}"
    raise refused


def set_up_io_uring(_: Targets) -> str:
    return f"io_uring_setup gave descriptor {calls.call('io_uring_setup', 1, ctypes.create_string_buffer(120))}"


def handle_page_faults(_: Targets) -> str:
    with contextlib.suppress(OSError):
        return f"userfaultfd gave descriptor {calls.call('userfaultfd', 0)}"
    return f"userfaultfd gave descriptor {calls.call('userfaultfd', 1)}, for faults of programs"


def watch_all_files(_: Targets) -> str:
    return f"fanotify_init gave descriptor {calls.call('fanotify_init', 4, 0)}"  # FAN_CLASS_CONTENT


def run_in_real_time(_: Targets) -> str:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return "ran before every other process of the host"


def make_a_user_namespace(_: Targets) -> str:
    refused = OSError(1, "unshare")
    for name, make in (
        ("unshare", lambda: calls.call("unshare", calls.CLONE_NEWUSER)),
        ("clone", lambda: _clone(calls.CLONE_NEWUSER)),
        ("clone3", lambda: _clone3(calls.CLONE_NEWUSER)),
    ):
        try:
            make()
        except OSError as error:
            refused = error
        else:
            return f"{name} gave a user namespace, with every capability in it"
    raise refused


def make_namespaces(_: Targets) -> str:
    """Make namespaces without a user namespace: that takes the right to administer the whole system."""
    found, refused = [], OSError(1, "unshare")
    kinds = {"mount": calls.CLONE_NEWNS, "pid": calls.CLONE_NEWPID, "network": calls.CLONE_NEWNET,
             "UTS": calls.CLONE_NEWUTS, "IPC": calls.CLONE_NEWIPC, "cgroup": calls.CLONE_NEWCGROUP}  # fmt: skip
    for name, flag in kinds.items():
        try:
            calls.call("unshare", flag)
            found.append(name)
        except OSError as error:
            refused = error
    if not found:
        raise refused
    return f"made namespaces: {', '.join(found)}"


def _clone(flag: int) -> None:
    if calls.call("clone", flag | signal.SIGCHLD, None, None, None, None) == 0:
        os._exit(0)


def _clone3(flag: int) -> None:
    arguments = struct.pack("8Q", flag, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    if calls.call("clone3", arguments, len(arguments)) == 0:
        os._exit(0)


def be_the_hosts_root(_: Targets) -> str:
    line = text_of("/proc/self/uid_map").split()
    if line == ["0", "0", "4294967295"] and os.geteuid() == 0:
        return "user 0 of the Machine is user 0 of the host"
    return ""


def have_capabilities(_: Targets) -> str:
    """Compare what this process could get with what Docker leaves a container."""
    status = dict(line.split(":\t", 1) for line in text_of("/proc/self/status").splitlines() if ":\t" in line)
    allowed = sum(1 << number for number in _KEPT.values())
    beyond = int(status["CapBnd"], 16) & ~allowed
    numbers = [str(number) for number in range(64) if beyond >> number & 1]
    return f"the bounding set has capabilities {', '.join(numbers)}" if numbers else ""


def be_without_a_filter(_: Targets) -> str:
    return "no system call is filtered" if "\nSeccomp:\t0\n" in text_of("/proc/self/status") else ""


def dump_core(_: Targets) -> str:
    """Crash, and look whether the host's handler was called; a program behind `|` obeys no limit but 1."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    child = os.fork()
    if child == 0:
        os.abort()
    status = os.waitpid(child, 0)[1]
    for core in Path().glob("core*"):
        core.unlink()
    pattern = text_of("/proc/sys/kernel/core_pattern").strip()
    if os.WCOREDUMP(status):
        return f"a crash was handed to {pattern!r}"
    return f"the limit of {hard} does not keep a crash from {pattern!r}" if pattern[:1] == "|" and hard != 1 else ""


_MAY_LACK = "a kernel may be built without it"
ATTEMPTS = (
    Attempt("clock", "set the host's clock", set_the_clock),
    Attempt("reboot", "have the right to reboot", reboot),
    Attempt("kexec", "have the right to load another kernel", load_a_kernel, not_everywhere=_MAY_LACK),
    Attempt("modules", "have the right to load kernel modules", load_a_module, not_everywhere=_MAY_LACK),
    Attempt("swap", "have the right to swap", swap_on, not_everywhere=_MAY_LACK),
    Attempt("ports", "reach the processor's ports", reach_ports, not_everywhere=_MAY_LACK),
    Attempt("bpf", "load into the kernel with bpf", load_bpf),
    Attempt("perf", "measure with perf_event_open", measure_performance),
    Attempt("io-uring", "set up io_uring", set_up_io_uring, not_everywhere="kernel.io_uring_disabled may be set"),
    Attempt("userfaultfd", "handle page faults with userfaultfd", handle_page_faults),
    Attempt("fanotify", "watch every file of the host", watch_all_files, not_everywhere=_MAY_LACK),
    Attempt("real-time", "run before every other process of the host", run_in_real_time),
    Attempt("user-namespace", "make a user namespace, and have every capability in it", make_a_user_namespace),
    Attempt("new-namespaces", "make other namespaces", make_namespaces),
    Attempt("root", "be the host's root", be_the_hosts_root),
    Attempt("capabilities", "have capabilities that a container has not", have_capabilities),
    Attempt("seccomp", "make calls that no filter looks at", be_without_a_filter,
            not_everywhere="a container engine may filter those of whoever runs the tests"),
    Attempt("core-dump", "hand a crash to the host's handler", dump_core, not_everywhere="the host may allow none"),
)  # fmt: skip
