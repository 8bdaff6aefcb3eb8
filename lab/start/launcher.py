"""The lab's side of the zygote: ask for a process in a Machine, get its pid."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import CommandError, LabError, RefusedError
from lab.linux import mounts
from lab.start import conversation as talk
from lab.start.init import FORWARDED
from lab.start.zygote import MOST_MESSAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lab.image.archive import Image

_SIDE_BY_SIDE = 3  # requests under way; more would only share the same cores
_PATIENCE_SECONDS = 30.0
_PIECE_BYTES = 65536
_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from lab.start.zygote import main; main(sys.argv[2:])"
_LIBRARIES = "LD_LIBRARY_PATH"  # an interpreter that is not installed may need it to begin at all


@dataclass(frozen=True, slots=True)
class OwnNetwork:
    """The descriptors of a Machine's network namespace and of the user namespace that it belongs to, if any."""

    network: int
    users: int | None


class Launcher:
    """Starts processes in Machines, a few at once."""

    def __init__(self, disk_mb: int) -> None:
        """Execute the zygote: a program of its own, so that no memory and no command line of this one is in it."""
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        os.set_inheritable(theirs.fileno(), True)
        place = str(Path(__file__).parents[2])
        argv = [sys.executable, "-I", "-S", "-c", _PROGRAM, place, str(theirs.fileno()), str(disk_mb)]
        _protect(os.path.realpath(sys.executable))
        environment = {_LIBRARIES: os.environ[_LIBRARIES]} if _LIBRARIES in os.environ else {}
        # The zygote keeps every signal blocked: what the terminal sends is for the program, not for it.
        os.posix_spawn(sys.executable, argv, environment, setsigmask=FORWARDED)
        theirs.close()
        self._turns = asyncio.Semaphore(_SIDE_BY_SIDE)

    def wait_until_ready(self) -> list[str]:
        """Return what this host cannot give a Machine of its boundary, in sentences; call it before an event loop.

        Raises `RefusedError` where the host cannot make what a Machine sees read-only.
        """
        self._socket.settimeout(_PATIENCE_SECONDS)
        said = self._socket.recv(MOST_MESSAGE_BYTES)
        if not said:
            raise LabError("the lab's zygote ended before it was ready; it said why above")
        answer = json.loads(said)
        if talk.has_failed(answer):
            raise RefusedError(f"{answer['call']} (Linux has it from 5.12 on)", answer["errno"])
        lacking: list[str] = answer["lacking"]
        return lacking

    def networks(self, count: int, *, shells: bool = False) -> list[OwnNetwork]:
        """Return that many network namespaces, for Machines, or for shell Machines; call it before an event loop."""
        ours, theirs = socket.socketpair()
        made: list[OwnNetwork] = []
        with ours:
            ours.settimeout(_PATIENCE_SECONDS)
            with theirs:
                self._tell({"do": "networks", "count": count, "shells": shells}, theirs)
            while len(made) < count:
                said, found = talk.receive(ours, 1)
                if not found:
                    refusal = json.loads(said + ours.makefile("rb").readline() or b"{}")
                    raise RefusedError(refusal.get("call", "the zygote ended"), refusal.get("errno", 0))
                network, *users = found
                made.append(OwnNetwork(network, users[0] if users else None))
        self._socket.setblocking(False)
        return made

    def prepare(self) -> None:
        """Have a Machine's init made ready for the start that comes next, unless one is."""
        with suppress(OSError):  # too busy to do it now, or ended: the next start says so
            self._socket.send(b'{"do": "prepare"}')

    async def start(
        self, machine_id: str, argv: Sequence[str], env: Mapping[str, str], *,
        directory: str, files: Mapping[str, str], own: OwnNetwork, output: int, memory_mb: int,
        installations: Sequence[str] = (), image: Image | None = None,
    ) -> tuple[int, list[str]]:  # fmt: skip
        """Start a Machine's init and its app; return the pid of init, and what differs from Fly in sentences.

        With an `image` that is its file system, and its user the app's; else it sees `directory` and `installations`.
        """
        request = {
            "machine_id": machine_id, "argv": list(argv), "env": dict(env), "directory": directory,
            "files": dict(files), "installations": list(installations), "limits": {"memory_mb": memory_mb},
            "image": {"root": image.root, "user": image.user} if image else None,
        }  # fmt: skip
        users = [] if own.users is None else [own.users]
        kind = "image" if image else "files"
        said = await self._ask({"do": "start", "kind": kind}, request, [own.network, output, *users])
        return int(said["pid"]), said.get("told", [])

    async def start_shell(self, machine_id: str, *, files: Mapping[str, str], own: OwnNetwork, output: int) -> int:
        """Start the init of a shell Machine or a laptop, which has the caller's files; return its pid."""
        request = {"machine_id": machine_id, "files": dict(files)}
        users = [] if own.users is None else [own.users]
        said = await self._ask({"do": "start", "kind": "shell"}, request, [own.network, output, *users])
        return int(said["pid"])

    async def execute(
        self,
        pid: int | None,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        directory: str,
        streams: Sequence[int],
        terminal: bool = False,
        network: int | None = None,
        users: int | None = None,
        memory_mb: int | None = None,
    ) -> int:
        """Run `argv` beside process `pid`, or beside the lab itself, and return its pid.

        `streams` are its standard input, output and error.  With `terminal` they are a terminal that becomes its own,
        for job control.  `network`, when given, is another network namespace to run it in.  `users` is the Machine's
        user namespace, and `memory_mb` is given for one that is a boundary.
        """
        request = {
            "argv": list(argv), "env": dict(env), "directory": directory, "terminal": terminal,
            "inside": pid is not None, "elsewhere": network is not None,
            "limits": None if memory_mb is None else {"memory_mb": memory_mb},
        }  # fmt: skip
        try:
            machine = [] if pid is None else [os.pidfd_open(pid)]
        except ProcessLookupError:
            raise LabError("the Machine has just ended; only a started one can run programs") from None
        try:
            entries = [*machine, *(entry for entry in (network, users) if entry is not None)]
            said = await self._ask({"do": "execute"}, request, [*streams, *entries])
        finally:
            for entry in machine:
                os.close(entry)
        return int(said["pid"])

    async def _ask(self, what: dict[str, Any], request: dict[str, Any], descriptors: Sequence[int]) -> dict[str, Any]:
        message = talk.packed(request)
        async with self._turns:
            said = await self._converse(what, message, descriptors)
        if said.get("call") == "execve":
            raise CommandError(request["argv"][0], said["errno"])
        if "error" in said:
            raise LabError(said["error"])
        if "errno" in said:
            raise RefusedError(said["call"], said["errno"])
        if "pid" not in said:
            raise LabError("the lab's zygote has ended, so nothing more can be started; start the lab again")
        return said

    async def _converse(self, what: dict[str, Any], message: bytes, descriptors: Sequence[int]) -> dict[str, Any]:
        """Begin a conversation with who carries the request out; return what was answered before its end."""
        ours, theirs = socket.socketpair()
        said: dict[str, Any] = {}
        with ours:
            ours.setblocking(False)
            with theirs:
                sent = socket.send_fds(ours, [message], descriptors)
                with suppress(ConnectionError):  # the zygote has ended: nobody answers
                    self._tell(what, theirs)
            answers: list[bytes] = []
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    with suppress(ConnectionError):  # it has failed before it read all, and says why
                        await asyncio.get_running_loop().sock_sendall(ours, message[sent:])
                    with suppress(ConnectionError):  # a reset is an end, too
                        await _read_all(ours, answers)
            except TimeoutError:
                said["error"] = f"the Machine has not carried that out within {_PATIENCE_SECONDS:g} s"
        for line in b"".join(answers).splitlines():
            said |= json.loads(line)
        if "error" in said and "pid" in said:  # an app may hold the process up, or the process be stuck
            with suppress(ProcessLookupError):
                os.kill(said["pid"], signal.SIGKILL)
        return said

    def _tell(self, what: dict[str, Any], conversation: socket.socket) -> None:
        socket.send_fds(self._socket, [json.dumps(what).encode()], [conversation.fileno()])


def _protect(program: str) -> None:
    """Execute it from a read-only mount: a Machine's first program can be /proc/self/exe, which is that of its init."""
    with suppress(RefusedError):  # without such mounts no Machine is a boundary, as the zygote says
        mounts.bind(program, program, mounts.READ_ONLY)


async def _read_all(sock: socket.socket, answers: list[bytes]) -> None:
    """Add what is said to `answers` until the end."""
    while piece := await asyncio.get_running_loop().sock_recv(sock, _PIECE_BYTES):
        answers.append(piece)
