"""The lab's side of the zygote: ask for a process in a Machine, get its pid."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lab import zygote
from lab.errors import CommandError, LabError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lab.image.archive import Image

_MAX_MESSAGE_BYTES = zygote.MAX_MESSAGE_BYTES // 2
_SIDE_BY_SIDE = 3  # requests under way; their messages fit into the socket, and more would only share the same cores


class Launcher:
    """Starts processes in Machines, a few at once."""

    def __init__(self) -> None:
        """Fork the zygote; call this before any thread or event loop exists."""
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self._socket, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, zygote.MAX_MESSAGE_BYTES)
        self._turns = asyncio.Semaphore(_SIDE_BY_SIDE)
        self.shared: list[str] = []  # directories the Machine started last has in common with the host
        # The zygote keeps every signal blocked: what the terminal sends is for the program, not for it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, zygote.FORWARDED)
        if os.fork() == 0:
            self._socket.close()
            zygote.serve(theirs)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self._socket.setblocking(False)

    def prepare(self) -> None:
        """Have a Machine's init made ready for the start that comes next, unless one is."""
        with suppress(OSError):  # too busy to do it now, or ended: the next start says so
            self._socket.send(b'{"do": "prepare"}')

    async def start(
        self, machine_id: str, argv: Sequence[str], env: Mapping[str, str], *,
        directory: str, files: Mapping[str, str], network: int, output: int, image: Image | None = None,
    ) -> int:  # fmt: skip
        """Start a Machine's init and, when `argv` is not empty, its app; return the pid of init.

        With an `image` that is its file system, and its user the app's.
        """
        request = {
            "do": "start", "machine_id": machine_id, "argv": list(argv), "env": dict(env),
            "directory": directory, "files": dict(files),
            "image": {"root": image.root, "user": image.user} if image else None,
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
            entries.append(os.pidfd_open(pid))
            if network is not None:
                entries.append(os.dup(network))
            return await self._ask(request, [*entries, *streams])
        except ProcessLookupError:
            raise LabError("the Machine has just ended; only a started one can run programs") from None
        finally:
            for fd in entries:
                os.close(fd)

    async def _ask(self, request: dict[str, Any], fds: Sequence[int]) -> int:
        message = json.dumps(request).encode()
        if len(message) > _MAX_MESSAGE_BYTES:
            size = len(message) // 1024
            raise LabError(f"a command with its environment may take {_MAX_MESSAGE_BYTES // 1024} KiB, got {size} KiB")
        async with self._turns:
            reply = await self._exchange(message, fds)
        self.shared = reply.get("shared", self.shared)
        if reply.get("call") == "execve":
            raise CommandError(request["argv"][0], reply["errno"])
        if "error" in reply:
            raise LabError(reply["error"])
        if "errno" in reply:
            raise RefusedError(reply["call"], reply["errno"])
        if "pid" not in reply:
            raise LabError("the lab's zygote has ended, so nothing more can be started; start the lab again")
        return int(reply["pid"])

    async def _exchange(self, message: bytes, fds: Sequence[int]) -> dict[str, Any]:
        """Send a request with a descriptor for its answer; return what came before that was closed."""
        ours, theirs = socket.socketpair()
        reply: dict[str, Any] = {}
        with ours:
            ours.setblocking(False)
            with theirs, suppress(ConnectionError):
                socket.send_fds(self._socket, [message], [theirs.fileno(), *fds])
            for line in (await _read_all(ours)).splitlines():
                reply |= json.loads(line)
        return reply


async def _read_all(sock: socket.socket) -> bytes:
    data = b""
    while piece := await asyncio.get_running_loop().sock_recv(sock, 65536):
        data += piece
    return data
