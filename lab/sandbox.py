"""Fresh namespaces for the whole lab: nothing of it exists outside them, and all of it dies with them.

The process the user started unshares, forks, and then only waits: its child is pid 1 of the lab.  The kernel
kills every process of a pid namespace when its pid 1 ends, and pid 1 is killed when the waiting process ends
(PR_SET_PDEATHSIG), so `kill -9` of either leaves no process, namespace, mount or interface behind.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import traceback
from typing import TYPE_CHECKING, NoReturn

from lab import namespaces as ns
from lab.errors import RefusedError
from lab.exits import shell_status
from lab.inheritance import current_directory, heeded
from lab.linux import privileges
from lab.start import ids

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from lab.idmap import Range

RUN_DIRECTORY = "/run"
_OUTER_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_SENT_BY_KERNEL = 0x80  # si_code SI_KERNEL: the terminal sent it to the whole foreground group


def run_in_sandbox(inside: Callable[[], int], granted: tuple[Range, Range] | None = None) -> int:
    """Run `inside` as pid 1 of fresh namespaces; return its exit status, or 128 + signal if it was killed.

    `granted` are ranges of users and groups to have in a user namespace, beside one's own.
    Raises `RefusedError` when the host does not allow the namespaces; nothing was changed then but this
    process's own namespaces.
    """
    life_read, life_write = os.pipe()
    _leave_host(granted)
    watched = heeded(*_OUTER_SIGNALS) | {signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(life_write)
        _be_first_process(inside, life_read, before)
    os.close(life_read)
    return _wait_for(child, watched)


def _leave_host(granted: tuple[Range, Range] | None) -> None:
    flags = ns.CLONE_NEWNET | ns.CLONE_NEWNS | ns.CLONE_NEWPID | ns.CLONE_NEWUTS | ns.CLONE_NEWIPC
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        try:
            ns.unshare(flags)
        except RefusedError:
            pass  # root without CAP_SYS_ADMIN: a user namespace may still be allowed
        else:
            return
    from lab.idmap import map_as_root, map_granted  # noqa: PLC0415 - only such a lab needs more than one id

    def leave() -> None:
        ns.unshare(flags | ns.CLONE_NEWUSER)

    if uid == 0 and map_as_root(ids.of_machines(), leave):
        return
    if granted:
        map_granted(*granted, leave)
        return
    if uid != 0:
        leave()
    ns.map_to_root(uid, gid)


def _be_first_process(inside: Callable[[], int], life: int, mask: set[int | signal.Signals]) -> NoReturn:
    status = 70  # EX_SOFTWARE: something in `inside` that no error message foresaw
    try:
        ns.die_with_parent(signal.SIGKILL)
        if select.select([life], [], [], 0)[0]:
            os._exit(128 + signal.SIGKILL)  # the parent died before the line above could count
        for number in heeded(signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _leave)  # the kernel drops what pid 1 does not handle
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        prepare_mounts()
        privileges.hide_memory()  # where a Machine sees this process, in a container's /proc, it must not read it
        status = inside()
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    except RefusedError as error:
        print(f"flycast-lab: the host refused {error}; see 'flycast-lab doctor'", file=sys.stderr)
        status = 1
    except BrokenPipeError:
        status = 128 + signal.SIGPIPE
    except BaseException:  # noqa: BLE001 - pid 1 has no caller to raise to
        traceback.print_exc()
    finally:
        _flush()
        os._exit(status)


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    """End at once: an exception could be swallowed by whatever the signal interrupted, and nothing is to be tidied."""
    os._exit(128 + number)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # a closed pipe: nobody is left to read it
            stream.flush()


def prepare_mounts() -> None:
    """Give the lab its own view: private mounts, its own /proc, an empty /run for what it keeps.

    Inside a container whose engine covered parts of /proc, the kernel refuses a /proc that would show them: then the
    container's stays, and numbers processes otherwise (`lab.processes`).
    """
    here = current_directory()
    ns.mount("none", "/", None, ns.MS_REC | ns.MS_PRIVATE)
    with contextlib.suppress(RefusedError):
        ns.mount("proc", "/proc", "proc", ns.MS_NOSUID | ns.MS_NODEV | ns.MS_NOEXEC)
    ns.mount("tmpfs", RUN_DIRECTORY, "tmpfs", ns.MS_NOSUID | ns.MS_NODEV, "mode=755")
    with contextlib.suppress(OSError):
        os.chdir(here)


def _wait_for(child: int, watched: set[signal.Signals]) -> int:
    """Pass on signals sent to this process, as SIGTERM; those from the terminal reached the lab already.

    The first one decides the status of a lab that ends of it, whichever the lab itself heard first.
    """
    told = 0
    while True:
        info = signal.sigwaitinfo(watched)
        if info.si_signo != signal.SIGCHLD:
            if info.si_code != _SENT_BY_KERNEL:
                told = told or info.si_signo
                os.kill(child, signal.SIGTERM)
            continue
        pid, wait_status = os.waitpid(child, os.WNOHANG)
        if pid == child:
            status = shell_status(os.waitstatus_to_exitcode(wait_status))
            return 128 + told if told and status == 128 + signal.SIGTERM else status
