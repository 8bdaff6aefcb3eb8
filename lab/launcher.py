"""Starts processes in Machines: a small, single-threaded process forked before the event loop exists.

Forking a process that runs an event loop and holds every socket of the lab is slow and unsafe; forking this
one costs a few milliseconds.  The lab (pid 1) sends one JSON request with descriptors, gets one JSON answer.

- `start`: a Machine's init as pid 1 of fresh mount, UTS, IPC and pid namespaces, and under it the app.
- `execute`: a program in the namespaces of a running Machine, on the caller's standard streams.

Whatever is started is orphaned at once, so it becomes a child of the lab, which waits for it.
"""

from __future__ import annotations

import array
import asyncio
import errno
import fcntl
import json
import os
import signal
import socket
import termios
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

from lab import layer, rootfs
from lab import namespaces as ns
from lab.errors import CommandError, LabError, RefusedError
from lab.exits import ended_children

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MAX_MESSAGE = 256 * 1024
_MAX_FDS = 16
_NAMESPACES = ("pid", "mnt", "uts", "ipc", "net")
_SELF_INFLICTED = {
    signal.SIGSEGV,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGTRAP,
    signal.SIGABRT,
    signal.SIGSYS,
}
_UNSTOPPABLE = {signal.SIGKILL, signal.SIGSTOP}
_FORWARDED = signal.valid_signals() - _SELF_INFLICTED - _UNSTOPPABLE


class Launcher:
    """The lab's side: ask for a process, get its pid."""

    def __init__(self) -> None:
        """Fork the launcher; call this before any thread or event loop exists."""
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self._socket, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MAX_MESSAGE)
        self._one_at_a_time = asyncio.Lock()
        self.shared: list[str] = []  # directories the Machine started last has in common with the host
        # The launcher keeps every signal blocked: what the terminal sends is for the program, not for it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
        if os.fork() == 0:
            self._socket.close()
            _serve(theirs)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self._socket.setblocking(False)

    async def start(
        self, machine_id: str, argv: Sequence[str], env: Mapping[str, str], *,
        directory: str, files: Mapping[str, str], network: int, output: int,
    ) -> int:  # fmt: skip
        """Start a Machine's init and, when `argv` is not empty, its app; return the pid of init."""
        request = {
            "do": "start", "machine_id": machine_id, "argv": list(argv), "env": dict(env),
            "directory": directory, "files": dict(files),
        }  # fmt: skip
        return await self._ask(request, [network, output])

    async def execute(
        self,
        pid: int,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        directory: str,
        streams: Sequence[int],
        terminal: bool = False,
        network: int | None = None,
    ) -> int:
        """Run `argv` beside process `pid`, on `streams` (standard input, output, error); return its pid.

        With `terminal` the streams are a terminal that becomes its own, for job control.  `network`, when given, is
        another network namespace to run it in.
        """
        entries: list[int] = []
        request = {
            "do": "execute", "argv": list(argv), "env": dict(env), "directory": directory, "terminal": terminal,
        }  # fmt: skip
        try:
            entries.extend(os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in _NAMESPACES)
            if network is not None:
                entries.append(os.dup(network))
            return await self._ask(request, [*entries, *streams])
        except FileNotFoundError:
            raise LabError("the Machine has just ended; only a started one can run programs") from None
        finally:
            for fd in entries:
                os.close(fd)

    async def _ask(self, request: dict[str, Any], fds: list[int]) -> int:
        message = json.dumps(request).encode()
        if len(message) > _MAX_MESSAGE // 2:
            size = len(message) // 1024
            raise LabError(f"a command with its environment may take {_MAX_MESSAGE // 2048} KiB, got {size} KiB")
        async with self._one_at_a_time:
            socket.send_fds(self._socket, [message], fds)
            reply = json.loads(await asyncio.get_running_loop().sock_recv(self._socket, 65536) or "{}")
        self.shared = reply.get("shared", self.shared)
        if "pid" in reply:
            return int(reply["pid"])
        if reply.get("call") == "execve":
            raise CommandError(request["argv"][0], reply["errno"])
        if not reply:
            raise LabError("the lab's launcher has ended, so nothing more can be started; start the lab again")
        raise RefusedError(reply["call"], reply["errno"])


def _serve(link: socket.socket) -> NoReturn:
    """Carry out requests until the lab ends; never return into the code that forked this process."""
    status = 70  # EX_SOFTWARE
    try:
        _carry_out_all(link)
        status = 0
    except ConnectionError:
        status = 0  # the lab ended with an answer unread
    except BaseException:  # noqa: BLE001 - there is no caller to raise to
        traceback.print_exc()
    finally:
        os._exit(status)


def _carry_out_all(link: socket.socket) -> None:
    while True:
        message, ancillary, _, _ = link.recvmsg(_MAX_MESSAGE, socket.CMSG_LEN(_MAX_FDS * 4))
        if not message:
            return
        fds = array.array("i")
        for _level, _kind, data in ancillary:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
        try:
            outcome = _carry_out(json.loads(message), list(fds))
        except OSError as error:
            outcome = {"call": "fork", "errno": error.errno or 0}
        link.send(json.dumps(outcome).encode())


def _carry_out(request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
    """Fork twice, so that the process is an orphan, and read what became of it until it executes."""
    report, write = os.pipe()
    try:
        middle = os.fork()
    except OSError:
        for fd in (*fds, report, write):
            os.close(fd)
        raise
    if middle == 0:
        try:
            (_start if request["do"] == "start" else _execute)(request, fds, write)
        except RefusedError as error:
            _report(write, {"call": error.call, "errno": error.errno})
        except OSError as error:
            _report(write, {"call": f"set up the Machine ({error})", "errno": error.errno or 0})
        finally:
            os._exit(127)
    for fd in (*fds, write):
        os.close(fd)
    os.waitpid(middle, 0)
    outcome: dict[str, Any] = {}
    with os.fdopen(report) as lines:
        for line in lines:
            outcome |= json.loads(line)
    if "errno" in outcome:
        outcome.pop("pid", None)
    return outcome


def _report(write: int, what: dict[str, Any]) -> None:
    os.write(write, json.dumps(what).encode() + b"\n")


def _start(request: dict[str, Any], fds: list[int], write: int) -> None:
    network, output = fds
    ns.setns(network)
    ns.unshare(ns.CLONE_NEWNS | ns.CLONE_NEWUTS | ns.CLONE_NEWIPC | ns.CLONE_NEWPID)
    init = os.fork()
    if init:
        _report(write, {"pid": init})
        os._exit(0)
    os.setsid()
    os.umask(0o022)
    if request["argv"]:  # what a person does on a shell Machine is for the host
        _report(write, {"shared": layer.lay()})
    rootfs.prepare(request["machine_id"], request["files"])
    _use_streams((os.open(os.devnull, os.O_RDONLY), output, output))
    app = os.fork() if request["argv"] else 0
    if request["argv"] and app == 0:
        os.setsid()
        _become(request, write)
    os.closerange(0, os.sysconf("SC_OPEN_MAX"))
    _be_init(app)


def _execute(request: dict[str, Any], fds: list[int], write: int) -> None:
    *entries, stdin, stdout, stderr = fds
    for entry in entries:
        ns.setns(entry)
    program = os.fork()
    if program:
        _report(write, {"pid": program})
        os._exit(0)
    _use_streams((stdin, stdout, stderr))
    if request["terminal"]:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    _become(request, write)


def _use_streams(streams: Sequence[int]) -> None:
    for number, fd in enumerate([os.dup(fd) for fd in streams]):
        os.dup2(fd, number)


def _become(request: dict[str, Any], write: int) -> NoReturn:
    """Execute the request's program with clean signals, its own environment and no stray descriptor."""
    for number in signal.valid_signals():
        if number not in _UNSTOPPABLE:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    rootfs.change_directory(request["directory"])
    os.closerange(3, write)
    os.closerange(write + 1, os.sysconf("SC_OPEN_MAX"))
    try:
        os.execvpe(request["argv"][0], request["argv"], request["env"])  # noqa: S606 - the lab's purpose
    except OSError as error:
        _report(write, {"call": "execve", "errno": error.errno or 0})
    except ValueError:  # a NUL byte
        _report(write, {"call": "execve", "errno": errno.EINVAL})
    finally:
        os._exit(127)


def _be_init(app: int) -> NoReturn:
    """Pass signals to the app, reap orphans, and end with the app's status; the kernel ends the rest."""
    while True:
        info = signal.sigwaitinfo(_FORWARDED)
        if info.si_signo != signal.SIGCHLD:
            if app:
                os.kill(app, info.si_signo)
            continue
        for pid, status in ended_children():
            if pid == app:
                os._exit(status)
