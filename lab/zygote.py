"""The process that every process of the Machines comes from: small, with one thread, forked before the event loop.

Forking a process that runs an event loop and holds every socket of the lab is slow and unsafe; forking this one is
neither.  A request is one JSON message with descriptors, the first of which takes the answer, JSON lines until its end:
the pid, then why it failed or nothing.  Nothing here waits for a Machine, so several come up side by side.

- `start`: a Machine's init as pid 1 of fresh mount, UTS, IPC and pid namespaces, and under it the app.
- `execute`: a program in the namespaces of a running Machine, on the caller's standard streams.
- `prepare`: keep an init ready whose file system is laid, so that the next start has only to move in.

Whatever is started is a child of the lab from its first moment or orphaned at once, so the lab waits for it.
"""

from __future__ import annotations

import array
import errno
import fcntl
import gc
import json
import os
import signal
import socket
import termios
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from lab import layer, rootfs
from lab import namespaces as ns
from lab.clone import clone
from lab.errors import LabError, RefusedError
from lab.exits import ended_children

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_MESSAGE_BYTES = 256 * 1024
_MAX_FDS = 16
_FD_BYTES = array.array("i").itemsize
_FRESH = ns.CLONE_NEWNS | ns.CLONE_NEWUTS | ns.CLONE_NEWIPC | ns.CLONE_NEWPID
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
FORWARDED = signal.valid_signals() - _SELF_INFLICTED - _UNSTOPPABLE


@dataclass(frozen=True, slots=True)
class _Init:
    """A pid 1 that waits for its request."""

    pid: int
    link: socket.socket


def serve(link: socket.socket) -> NoReturn:
    """Carry out requests until the lab ends; never return into the code that forked this process."""
    status = 70  # EX_SOFTWARE
    gc.disable()
    gc.freeze()  # what is never collected is never written to, and stays shared with every child
    try:
        _carry_out_all(link)
        status = 0
    except ConnectionError:
        status = 0  # the lab ended
    except BaseException:  # noqa: BLE001 - there is no caller to raise to
        traceback.print_exc()
    finally:
        os._exit(status)


def _carry_out_all(link: socket.socket) -> None:
    directories = layer.survey()
    spare: _Init | None = None
    while True:
        message, fds = _receive(link)
        if not message:
            return
        request = json.loads(message)
        try:
            if request["do"] == "prepare":
                spare = spare or _make_init(directories)
            elif request["do"] == "execute":
                _in_between(request, fds)
            elif request["argv"] and not request["image"]:
                init = spare if spare and _waits(spare) else _make_init(directories)
                spare = None
                _hand_over(init, message, fds)
            else:  # an image has a layer of its own; what a person does on a shell Machine is for the host
                _hand_over(_make_init(()), message, fds)
        except (RefusedError, OSError) as error:
            if fds:
                _answer(fds[0], _reason(error))
        finally:
            for fd in fds:
                os.close(fd)


def _receive(link: socket.socket) -> tuple[bytes, list[int]]:
    # socket.recv_fds forgets its flags, and the app must not inherit who takes the answer
    room = socket.CMSG_LEN(_MAX_FDS * _FD_BYTES)
    message, ancillary, _, _ = link.recvmsg(MAX_MESSAGE_BYTES, room, socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for _level, _kind, data in ancillary:
        fds.frombytes(data[: len(data) - len(data) % _FD_BYTES])
    return message, list(fds)


def _answer(report: int, what: dict[str, Any]) -> None:
    os.write(report, json.dumps(what).encode() + b"\n")


def _reason(error: LabError | OSError) -> dict[str, Any]:
    match error:
        case RefusedError():
            return {"call": error.call, "errno": error.errno}
        case OSError():
            return {"call": f"set up the Machine ({error})", "errno": error.errno or 0}
    return {"error": str(error)}


def _has_failed(outcome: dict[str, Any]) -> bool:
    return "errno" in outcome or "error" in outcome


def _make_init(covered: Sequence[layer.Directory]) -> _Init:
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        pid = clone(_FRESH)
        if pid == 0:
            _be_init(its, covered)
    except BaseException:
        ours.close()
        raise
    finally:
        its.close()
    return _Init(pid, ours)


def _waits(init: _Init) -> bool:
    """Tell whether an init that was made ready is still there: somebody may have killed it."""
    try:
        init.link.recv(1, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return True
    return False


def _hand_over(init: _Init, message: bytes, fds: Sequence[int]) -> None:
    _answer(fds[0], {"pid": init.pid})
    with init.link:
        socket.send_fds(init.link, [message], fds)


def _be_init(link: socket.socket, covered: Sequence[layer.Directory]) -> NoReturn:
    """Lay the file system, wait for the request, become the Machine's init; end with its app's status."""
    status = 127
    try:
        os.setsid()
        os.umask(0o022)
        _close_all_but(link.fileno())
        laid = _attempt(lambda: {"shared": layer.lay(covered)} if covered else {})
        message, fds = _receive(link)
        if message:
            status = _run(json.loads(message), laid, *fds)
    except BaseException:  # noqa: BLE001 - likewise
        traceback.print_exc()
    finally:
        os._exit(status)


def _attempt(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return work()
    except (LabError, OSError) as error:
        return _reason(error)


def _run(request: dict[str, Any], laid: dict[str, Any], report: int, network: int, output: int) -> int:
    outcome = laid if _has_failed(laid) else laid | _attempt(lambda: _move_in(request, report, network, output))
    _answer(report, outcome)
    if _has_failed(outcome):
        return 127
    os.closerange(0, os.sysconf("SC_OPEN_MAX"))
    return _watch_over(outcome.get("app", 0))


def _move_in(request: dict[str, Any], report: int, network: int, output: int) -> dict[str, Any]:
    ns.setns(network)
    if request["image"]:
        return {"app": _start_image(request, report, output)}
    rootfs.prepare(request["machine_id"], request["files"])
    if not request["argv"]:
        return {}
    _use_streams((os.open(os.devnull, os.O_RDONLY), output, output))
    return {"app": _spawn(request)}


def _spawn(request: dict[str, Any]) -> int:
    """Start the app as a child that shares this process's memory until it executes: no page is copied."""
    environment, argv = request["env"], request["argv"]
    os.environ["PATH"] = environment.get("PATH", os.defpath)  # where posix_spawnp looks
    rootfs.change_directory(request["directory"])
    try:
        default = signal.valid_signals() - _UNSTOPPABLE
        return os.posix_spawnp(argv[0], argv, environment, setsid=True, setsigmask=(), setsigdef=default)
    except OSError as error:
        raise RefusedError("execve", error.errno or 0) from None
    except ValueError:  # a NUL byte
        raise RefusedError("execve", errno.EINVAL) from None
    finally:
        os.chdir("/")


def _start_image(request: dict[str, Any], report: int, output: int) -> int:
    """Start the app of an image as its user, who may write to its output by name too (/dev/stdout)."""
    from lab.image import root, user  # noqa: PLC0415 - only images need them

    root.become(request["image"]["root"], request["machine_id"], request["files"])
    identity = user.identity_of(request["image"]["user"])
    os.fchown(output, identity.uid, identity.gid)
    _use_streams((os.open(os.devnull, os.O_RDONLY), output, output))
    app = os.fork()
    if app:
        return app
    try:
        os.setsid()
        identity.assume()
        _become(request | {"env": {"HOME": identity.home, **request["env"]}}, report)
    except (LabError, OSError) as error:
        _answer(report, _reason(error))
    finally:
        os._exit(127)


def _in_between(request: dict[str, Any], fds: Sequence[int]) -> None:
    """Fork a process that enters the Machine, forks the program and ends, so that the program is an orphan."""
    middle = os.fork()
    if middle == 0:
        report, *rest = fds
        try:
            _execute(request, rest, report)
        except (RefusedError, OSError) as error:
            _answer(report, _reason(error))
        finally:
            os._exit(127)
    os.waitpid(middle, 0)


def _execute(request: dict[str, Any], fds: Sequence[int], report: int) -> None:
    machine, *network, stdin, stdout, stderr = fds
    ns.join_process(machine, _FRESH | ns.CLONE_NEWNET)
    for entry in network:
        ns.setns(entry)
    program = os.fork()
    if program:
        _answer(report, {"pid": program})
        os._exit(0)
    _use_streams((stdin, stdout, stderr))
    if request["terminal"]:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    _become(request, report)


def _use_streams(streams: Sequence[int]) -> None:
    for number, fd in enumerate([os.dup(fd) for fd in streams]):
        os.dup2(fd, number)


def _become(request: dict[str, Any], report: int) -> NoReturn:
    """Execute the request's program with clean signals, its own environment and no stray descriptor."""
    for number in signal.valid_signals():
        if number not in _UNSTOPPABLE:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    rootfs.change_directory(request["directory"])
    _close_all_but(report)
    try:
        os.execvpe(request["argv"][0], request["argv"], request["env"])  # noqa: S606 - the lab's purpose
    except OSError as error:
        _answer(report, {"call": "execve", "errno": error.errno or 0})
    except ValueError:  # a NUL byte
        _answer(report, {"call": "execve", "errno": errno.EINVAL})
    finally:
        os._exit(127)


def _close_all_but(kept: int) -> None:
    """Leave nothing open but the standard streams and `kept`."""
    os.closerange(3, kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))


def _watch_over(app: int) -> int:
    """Pass signals to the app and reap orphans until it ends; return its status; the kernel ends the rest."""
    while True:
        info = signal.sigwaitinfo(FORWARDED)
        if info.si_signo != signal.SIGCHLD:
            if app:
                os.kill(app, info.si_signo)
            continue
        for pid, status in ended_children():
            if pid == app:
                return status
