"""Other processes: what they were given, what they hold, their namespaces; and what this one inherited."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from . import calls
from .attempts import Attempt, signature
from .uncover import others, text_of, uncovering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .attempts import Targets

_KINDS = ("mnt", "pid", "net", "uts", "ipc", "user", "cgroup")
_PTRACE_SEIZE = 0x4206
_MOST_BYTES = 64 << 20
_REGION = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) r", re.MULTILINE)


def _links_of_own_descriptors() -> dict[int, str]:
    found = {}
    for entry in list(Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(OSError):  # the one that lists the directory is closed by now
            found[int(entry.name)] = str(entry.readlink())
    return found


INHERITED = _links_of_own_descriptors()  # before this program opens anything itself


def _markers(targets: Targets, *names: str) -> dict[str, str]:
    return {name: targets["marker"][name] for name in names}


def _first(markers: dict[str, str], paths: Iterable[Path]) -> str:
    for path in paths:
        text = text_of(path)
        if found := [name for name, marker in markers.items() if marker in text]:
            return f"{path} holds {' and '.join(f'the {name} marker' for name in found)}"
    return ""


def read_own_environment(targets: Targets) -> str:
    """Look for the caller's environment in this Machine's own."""
    own = "\n".join(os.environ.values())
    found = [name for name, marker in _markers(targets, "caller", "victim", "stranger").items() if marker in own]
    return f"the own environment holds the {' and the '.join(found)} marker" if found else ""


def read_environments(targets: Targets) -> str:
    markers = _markers(targets, "caller", "victim", "stranger")
    return uncovering(lambda: _first(markers, others("environ")))


def read_command_lines(targets: Targets) -> str:
    """Look for `--secret NAME=VALUE` in what every process was started with."""
    return uncovering(lambda: _first(_markers(targets, "secret"), others("cmdline")))


def read_memory(targets: Targets) -> str:
    """Open the memory of every other process; a secret in it is named."""
    markers = {name: marker.encode() for name, marker in targets["marker"].items()}

    def look() -> str:
        opened = ""
        for place in others():
            with contextlib.suppress(OSError):
                fd = os.open(place / "mem", os.O_RDONLY)
                try:
                    opened = opened or f"opened {place}/mem"
                    if found := _in_memory(fd, text_of(place / "maps"), markers):
                        return f"{place}/mem holds the {found} marker"
                finally:
                    os.close(fd)
        return opened

    return uncovering(look)


def _in_memory(fd: int, maps: str, markers: dict[str, bytes]) -> str:
    left = _MOST_BYTES
    for start, end in _REGION.findall(maps):
        size = min(int(end, 16) - int(start, 16), left)
        left -= size
        with contextlib.suppress(OSError, OverflowError):
            data = os.pread(fd, size, int(start, 16))
            for name, marker in markers.items():
                if marker in data:
                    return name
    return ""


def _through(targets: Targets, ways: Callable[[Path], Iterable[str]]) -> str:
    marker, secrets = targets["marker"]["file"], targets["secret_files"]

    def look() -> str:
        for place in others():
            for way in ways(place):
                for secret in secrets:
                    if marker in text_of(f"{way}{secret}"):
                        return f"read {way}{secret}"
        return ""

    return uncovering(look)


def go_through_roots(targets: Targets) -> str:
    """Read the host's files through the root and the directory of other processes."""
    return _through(targets, lambda place: (f"{place}/root", f"{place}/cwd" + "/.." * 40))


def go_through_descriptors(targets: Targets) -> str:
    """Read what other processes have open, and the host's files through directories that they have open."""
    marker = targets["marker"]["file"]

    def look() -> str:
        for place in others("fd"):
            with contextlib.suppress(OSError):
                for fd in place.iterdir():
                    up = [f"{fd}{'/..' * 40}{path}" for path in targets["secret_files"]]
                    if Path(fd).is_dir() and any(marker in text_of(path) for path in up):
                        return f"read the caller's file through {fd} -> {fd.readlink()}"
                    if str(fd.readlink()) in targets["secret_files"]:
                        return f"{fd} is the caller's {fd.readlink()}"
        return ""

    return uncovering(look)


def use_inherited_descriptors(_: Targets) -> str:
    """Look at what the Machine's program was given beside its standard streams."""
    found = [f"{fd} -> {link}" for fd, link in sorted(INHERITED.items()) if fd > 2]
    return f"inherited {', '.join(found)}" if found else ""


def enter_namespaces(_: Targets) -> str:
    """Join a namespace of another process that this one is not in."""
    own = {kind: _number(Path("/proc/self/ns", kind)) for kind in _KINDS}

    def look() -> str:
        for place in others("ns"):
            for kind in _KINDS:
                number = _number(place / kind)
                if number and number != own[kind]:
                    with contextlib.suppress(OSError):
                        fd = os.open(place / kind, os.O_RDONLY)
                        calls.call("setns", fd, 0)
                        return f"entered {place / kind}"
        return ""

    return uncovering(look)


def _number(path: Path) -> str:
    with contextlib.suppress(OSError):
        return str(path.readlink())
    return ""


def _pids(targets: Targets) -> list[int]:
    """Return the first process, those that /proc has, and those of the host that the test made."""
    return sorted({1, os.getppid(), *(int(place.name) for place in others()), *targets["pids"]} - {os.getpid()})


def trace(targets: Targets) -> str:
    """Seize the Machine's init, or a process outside, as a debugger does."""
    refused = OSError(1, "ptrace")
    for pid in (1, *targets["pids"]):
        try:
            calls.call("ptrace", _PTRACE_SEIZE, pid, None, None)
        except OSError as error:
            refused = error
        else:
            return f"process {pid} is traced"
    raise refused


class _Piece(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def read_with_process_vm_readv(targets: Targets) -> str:
    """Read memory of other processes without a file: at an address of theirs, or one that a fork has in common."""
    buffer = ctypes.create_string_buffer(64)
    own = ctypes.cast(ctypes.pythonapi.Py_GetVersion, ctypes.c_void_p).value or 0
    refused = OSError(1, "process_vm_readv")
    for pid in _pids(targets):
        if pid == os.getppid():
            continue
        starts = [int(start, 16) for start, _ in _REGION.findall(text_of(f"/proc/{pid}/maps"))]
        for address in (own, *starts[:3]):
            local, remote = _Piece(ctypes.addressof(buffer), 16), _Piece(address, 16)
            try:
                calls.call("process_vm_readv", pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
            except OSError as error:
                refused = error
            else:
                return f"read memory of process {pid} at {address:#x}"
    raise refused


def take_descriptors(targets: Targets) -> str:
    """Take open files out of other processes, with pidfd_getfd."""
    refused = OSError(1, "pidfd_getfd")
    for pid in _pids(targets):
        if pid == os.getppid():
            continue
        for number in range(16):
            try:
                handle = calls.call("pidfd_open", pid, 0)
                calls.call("pidfd_getfd", handle, number, 0)
            except OSError as error:
                refused = error
            else:
                return f"took descriptor {number} of process {pid}"
    raise refused


def signal_everything(targets: Targets) -> str:
    """Send everybody, by a wildcard and by guessed numbers, a signal that the test's processes count.

    Nobody dies of SIGURG.  Whether it arrived is seen outside.
    """
    for pid in (-1, *targets["pids"], *range(2, 400)):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGURG)
    for pid in targets["pids"]:
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(calls.call("pidfd_open", pid, 0), signal.SIGURG)  # type: ignore[attr-defined,unused-ignore]
    return ""


def rename_the_host(_: Targets) -> str:
    """Set the host name; whether it is the host's is seen outside."""
    name = signature("host-name").encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.sethostname(name, len(name)):
        raise OSError(ctypes.get_errno(), "sethostname")
    return ""


ATTEMPTS = (
    Attempt("own-environment", "find the caller's environment in the own one", read_own_environment),
    Attempt("environments", "read the environment of other processes: [env], secrets, the caller's", read_environments),
    Attempt("command-lines", "read --secret NAME=VALUE in a command line", read_command_lines),
    Attempt("memory", "read /proc/PID/mem", read_memory),
    Attempt("roots", "read files through /proc/PID/root and cwd", go_through_roots),
    Attempt("descriptors-of-others", "read files through /proc/PID/fd", go_through_descriptors),
    Attempt("inherited-descriptors", "use what was left open by the lab or its caller", use_inherited_descriptors),
    Attempt("namespaces-of-others", "enter namespaces through /proc/PID/ns", enter_namespaces),
    Attempt("ptrace", "trace the init, or a process outside", trace),
    Attempt("process-vm-readv", "read memory of other processes without a file", read_with_process_vm_readv),
    Attempt("pidfd-getfd", "take open files out of other processes", take_descriptors),
    Attempt("signals", "send signals to processes outside", signal_everything),
    Attempt("host-name", "change the host's name", rename_the_host),
)
