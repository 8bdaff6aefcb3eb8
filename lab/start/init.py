"""The first process of a Machine: it makes the Machine's file system, gives up its rights, starts the app and reaps.

It is a copy of the zygote, which holds no secret, and of the request it keeps nothing that is not its own Machine's.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

from lab import namespaces as ns
from lab.errors import LabError, RefusedError
from lab.exits import ended_children
from lab.image import user
from lab.linux import privileges
from lab.start import conversation as talk
from lab.start import host_files, root

if TYPE_CHECKING:
    from lab.start.confine import Confinement

_SELF_INFLICTED = {
    signal.SIGSEGV,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGTRAP,
    signal.SIGABRT,
    signal.SIGSYS,
}
UNSTOPPABLE = {signal.SIGKILL, signal.SIGSTOP}
FORWARDED = signal.valid_signals() - _SELF_INFLICTED - UNSTOPPABLE
_FAILED = 127


def be_init(link: socket.socket, kind: str, ground: root.Ground, confinement: Confinement) -> NoReturn:
    """Lay the file system of a Machine of this `kind`, wait for its request, run it; end with its app's status."""
    status = _FAILED
    try:
        os.setsid()
        os.umask(0o022)
        talk.close_all_but(link.fileno(), *([] if ground.namespace is None else [ground.namespace]))
        privileges.hide_memory()
        privileges.stop_importing()
        laid = _attempt(lambda: root.lay(ground, None)) if kind == "files" else {}
        message, found = talk.receive(link, 1)
        if message:
            with socket.socket(fileno=found[0]) as conversation:
                status = _run(conversation, kind, laid, ground, confinement)
    except ConnectionError:
        status = _FAILED  # the lab ended
    except BaseException:  # noqa: BLE001 - there is no caller to raise to
        traceback.print_exc()
    finally:
        os._exit(status)


def _attempt(work: Any) -> dict[str, Any]:
    try:
        return work() or {}
    except (LabError, OSError) as error:
        return talk.failure(error)


def _run(
    conversation: socket.socket, kind: str, laid: dict[str, Any], ground: root.Ground, confinement: Confinement
) -> int:
    request, found = talk.receive_request(conversation)
    said = laid
    if not talk.has_failed(laid):
        report = conversation.fileno()
        said = _attempt(lambda: _move_in(request, kind, found, report, ground, confinement))
    talk.answer(conversation.fileno(), said)
    if talk.has_failed(said):
        return _FAILED
    os.closerange(0, os.sysconf("SC_OPEN_MAX"))
    return _watch_over(said.get("app", 0))


def _move_in(
    request: dict[str, Any], kind: str, found: list[int], report: int, ground: root.Ground, confinement: Confinement
) -> dict[str, Any]:
    network, output, *users = found
    ns.setns(network)
    if kind == "shell":
        host_files.prepare(request["machine_id"], request["files"])
        if users:
            host_files.keep_covered(users[0])
        return {}
    image = request["image"]
    if image:
        root.lay(ground, image["root"])
    told = root.furnish(ground, request)
    _give(output, *ground.ids.root)
    talk.take_streams((os.open(os.devnull, os.O_RDONLY), output, output))
    confinement.enter(users[0] if users else None, request["limits"])
    app = _start_as_user(request, output, report) if image else _start(request)
    return {"app": app, "told": told}


def _give(output: int, uid: int, gid: int) -> None:
    """Give the pipe of an app's output to its user, who may open it by name, too: /dev/stdout."""
    if stat.S_ISFIFO(os.fstat(output).st_mode):
        os.fchown(output, uid, gid)


def _start(request: dict[str, Any]) -> int:
    """Start the app as a child that shares this process's memory until it executes: no page is copied."""
    environment, argv = request["env"], request["argv"]
    os.environ["PATH"] = environment.get("PATH", os.defpath)  # where posix_spawnp looks
    change_directory(request["directory"])
    try:
        default = signal.valid_signals() - UNSTOPPABLE
        return os.posix_spawnp(argv[0], argv, environment, setsid=True, setsigmask=(), setsigdef=default)
    except OSError as error:
        raise RefusedError("execve", error.errno or 0) from None
    except ValueError:  # a NUL byte
        raise RefusedError("execve", errno.EINVAL) from None
    finally:
        os.chdir("/")


def _start_as_user(request: dict[str, Any], output: int, report: int) -> int:
    """Start the app of an image as the user that the image names."""
    identity = user.identity_of(request["image"]["user"])
    _give(output, identity.uid, identity.gid)
    app = os.fork()
    if app:
        return app
    try:
        os.setsid()
        identity.assume()
        become(request | {"env": {"HOME": identity.home, **request["env"]}}, report)
    except (LabError, OSError) as error:
        talk.answer(report, talk.failure(error))
    finally:
        os._exit(_FAILED)


def become(request: dict[str, Any], report: int) -> NoReturn:
    """Execute the request's program with clean signals, its own environment and no stray descriptor."""
    for number in signal.valid_signals():
        if number not in UNSTOPPABLE:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    change_directory(request["directory"])
    talk.close_all_but(report)
    try:
        os.execvpe(request["argv"][0], request["argv"], request["env"])  # noqa: S606 - the lab's purpose
    except OSError as error:
        talk.answer(report, {"call": "execve", "errno": error.errno or 0})
    except ValueError:  # a NUL byte
        talk.answer(report, {"call": "execve", "errno": errno.EINVAL})
    finally:
        os._exit(_FAILED)


def change_directory(directory: str) -> None:
    """Enter `directory`, or / where the Machine does not have it."""
    try:
        os.chdir(directory)
    except OSError:
        os.chdir("/")


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
