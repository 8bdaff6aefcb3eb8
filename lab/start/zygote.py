"""The process that every process of the Machines is a copy of: small, with one thread, and without secrets.

It is a program of its own with a clean environment and command line, executed before the lab reads a secret; requests
go past it.  Forking the lab itself, which runs an event loop and holds every socket, would be slow and unsafe; forking
this one is neither.  Nothing here waits for a Machine, so several come up side by side.

- `start`: a Machine's init as pid 1 of fresh mount, UTS, IPC, cgroup and pid namespaces.
- `execute`: a program in the namespaces of a running Machine, on the caller's standard streams.
- `prepare`: keep an init ready whose file system is laid, so that the next start has only to move in.
- `networks`: user namespaces for Machines, each with a network namespace that belongs to it.

Whatever is started is a child of the lab from its first moment or orphaned at once, so the lab waits for it.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import socket
import termios
import traceback
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from lab import namespaces as ns
from lab.clone import clone, held
from lab.errors import LabError, RefusedError
from lab.linux import mounts, privileges
from lab.processes import directory
from lab.start import confine, ids, root
from lab.start import conversation as talk
from lab.start.init import be_init, become

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_MESSAGE_BYTES = 4096
_FRESH = ns.CLONE_NEWNS | ns.CLONE_NEWUTS | ns.CLONE_NEWIPC | ns.CLONE_NEWCGROUP | ns.CLONE_NEWPID
_NAMES = {ns.CLONE_NEWUSER: "user", ns.CLONE_NEWNET: "net"}
_JOINED = _FRESH | ns.CLONE_NEWNET


@dataclass(frozen=True, slots=True)
class _Init:
    """A pid 1 that waits for its request."""

    pid: int
    link: socket.socket


def main(argv: Sequence[str]) -> NoReturn:
    """Carry out requests until the lab ends: `argv` is the link's descriptor and how much a Machine may write."""
    status = 70  # EX_SOFTWARE
    try:
        talk.close_all_but(int(argv[0]))
        _serve(socket.socket(fileno=int(argv[0])), disk_mb=int(argv[1]))
        status = 0
    except ConnectionError:
        status = 0  # the lab ended
    except BaseException:  # noqa: BLE001 - there is no caller to raise to
        traceback.print_exc()
    finally:
        os._exit(status)


def _serve(link: socket.socket, disk_mb: int) -> None:
    mapped = ids.of_machines()
    lacking: list[str] = []
    users = _attempt_namespace(mapped, lacking)
    ground = root.Ground(mapped, users if mapped.own else None, disk_mb)
    confinement = _attempt_confinement(lacking)
    if not mapped.own and ids.is_root_of_the_host():
        lacking.append("an id of its own for a Machine's root: this user namespace has no other than root's")
    root.prepare()
    try:
        mounts.bind("/run/devices", "/run/devices", mounts.READ_ONLY)
    except RefusedError as error:  # without it a Machine could write to the host's files: no lab at all
        link.send(json.dumps(talk.failure(error)).encode())
        return
    link.send(json.dumps({"lacking": lacking}).encode())
    gc.disable()
    gc.freeze()  # what is never collected is never written to, and stays shared with every child
    _Zygote(link, ground, confinement, confined=users is not None).carry_out_all()


def _attempt_namespace(mapped: ids.Ids, lacking: list[str]) -> int | None:
    try:
        (users,) = _namespaces(mapped, ns.CLONE_NEWUSER)
    except (RefusedError, OSError) as error:
        lacking.append(f"a user namespace for each Machine: {error}")
        return None
    return users


def _attempt_confinement(lacking: list[str]) -> confine.Confinement:
    if refused := confine.refuses_filters():
        lacking.append(f"a filter of system calls: {refused}")
        return confine.Confinement(b"")
    return confine.Confinement.prepare()


def _namespaces(mapped: ids.Ids, *kinds: int) -> list[int]:
    """Return descriptors of fresh namespaces, one of each kind; the user namespace among them owns the rest."""
    with held(sum(kinds)) as holder:
        place = directory(holder)
        for name, text in zip(("uid_map", "gid_map"), mapped.text(), strict=True):
            _write(f"{place}/{name}", text)
        return [os.open(f"{place}/ns/{_NAMES[kind]}", os.O_RDONLY | os.O_CLOEXEC) for kind in kinds]


def _write(path: str, text: str) -> None:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(file, text.encode())
        finally:
            os.close(file)
    except OSError as error:
        raise RefusedError(f"write {os.path.basename(path)}", error.errno or 0) from error  # noqa: PTH119


class _Zygote:
    """Carries out one request after the other; each comes with the conversation that it is about."""

    def __init__(
        self, link: socket.socket, ground: root.Ground, confinement: confine.Confinement, *, confined: bool
    ) -> None:
        self._link = link
        self._ground = ground
        self._confinement = confinement
        self._confined = confined
        self._spare: _Init | None = None

    def carry_out_all(self) -> None:
        """Return when the lab has ended."""
        while True:
            message, found = talk.receive(self._link, MOST_MESSAGE_BYTES)
            if not message:
                return
            try:
                self._carry_out(json.loads(message), found)
            except (LabError, OSError) as error:
                with suppress(OSError):  # nobody waits for the answer any more
                    if found:
                        talk.answer(found[0], talk.failure(error))
            finally:
                for descriptor in found:
                    os.close(descriptor)

    def _carry_out(self, request: dict[str, Any], found: Sequence[int]) -> None:
        match request["do"]:
            case "prepare":
                self._spare = self._spare or self._make_init("files")
            case "start":
                self._start(request["kind"], found[0])
            case "execute":
                self._execute(found[0])
            case "networks":
                self._give_networks(
                    ids.of_shells() if request["shells"] else self._ground.ids, request["count"], found[0]
                )

    def _start(self, kind: str, conversation: int) -> None:
        spare = None
        if kind == "files":
            spare, self._spare = self._spare, None
        init = spare if spare and _waits(spare) else self._make_init(kind)
        talk.answer(conversation, {"pid": init.pid})
        with init.link:
            socket.send_fds(init.link, [b"."], [conversation])

    def _make_init(self, kind: str) -> _Init:
        if kind == "files":
            root.prepare_etc(self._ground.ids)
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            pid = clone(_FRESH)
            if pid == 0:
                be_init(its, kind, self._ground, self._confinement)
        except BaseException:
            ours.close()
            raise
        finally:
            its.close()
        return _Init(pid, ours)

    def _give_networks(self, mapped: ids.Ids, count: int, conversation: int) -> None:
        with socket.socket(fileno=os.dup(conversation)) as asker:
            for _ in range(count):
                if self._confined:
                    descriptors = _namespaces(mapped, ns.CLONE_NEWNET, ns.CLONE_NEWUSER)
                else:
                    descriptors = [ns.new_network_namespace()]
                socket.send_fds(asker, [b"."], descriptors)
                for descriptor in descriptors:
                    os.close(descriptor)

    def _execute(self, conversation: int) -> None:
        """Fork a process that enters the Machine, forks the program and ends, so that the program is an orphan."""
        middle = os.fork()
        if middle == 0:
            try:
                self._enter_and_execute(conversation)
            except (LabError, OSError) as error:
                talk.answer(conversation, talk.failure(error))
            finally:
                os._exit(127)
        os.waitpid(middle, 0)

    def _enter_and_execute(self, conversation: int) -> None:
        with socket.socket(fileno=os.dup(conversation)) as asker:
            request, found = talk.receive_request(asker)
        stdin, stdout, stderr, *further = found
        privileges.stop_importing()
        if request["inside"]:
            ns.join_process(further.pop(0), _JOINED)
        network = further.pop(0) if request["elsewhere"] else None
        if network is not None:
            ns.setns(network)
        program = os.fork()
        if program:
            talk.answer(conversation, {"pid": program})
            os._exit(0)
        talk.take_streams((stdin, stdout, stderr))
        if request["terminal"] or request["limits"]:
            os.setsid()  # an app's Machine has nothing to do with the terminal of the lab: /dev/tty would be that
        if request["terminal"]:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        users = further[0] if further else None
        if request["limits"]:
            self._confinement.enter(users, request["limits"])
        elif users is not None:
            ns.setns(users)
        become(request, conversation)


def _waits(init: _Init) -> bool:
    """Tell whether an init that was made ready is still there: somebody may have killed it."""
    try:
        init.link.recv(1, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return True
    return False
