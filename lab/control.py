"""The door by which another terminal reaches a lab that is up.

An abstract unix socket, made before the lab leaves the host's network namespace: it has no file, so
nothing stays behind whatever happens to the lab.  One JSON message a request (SOCK_SEQPACKET keeps them whole); `exec`
carries three descriptors, or is answered with the one of a terminal.  The reply is JSON in one or more messages, then
the end.  Only the user who started
the lab is let in, and a caller talks only to a lab of its own user (SO_PEERCRED): any user may take such a name.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from lab.errors import CommandError, LabError, reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lab.log import EventLog

MAX_MESSAGE = 128 * 1024
PREFIX = "flycast-lab"
_STREAMS = 3
_REQUEST_SECONDS = 10
_NO_ROOM_PAUSE_SECONDS = 1.0
_PIECE = 32 * 1024


class Program(Protocol):
    """A program that was executed on a Machine."""

    def send(self, signal_number: int) -> None:
        """Send it a signal."""

    async def ended(self) -> int:
        """Wait for its end; return its exit status."""


class Controlled(Protocol):
    """What another terminal may ask of a lab."""

    def status(self) -> dict[str, Any]:
        """Return the apps and Machines as JSON values."""

    async def execute(
        self,
        machine_id: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        directory: str,
        streams: Sequence[int],
        *,
        terminal: bool = False,
    ) -> Program:
        """Run a program on a Machine, with `terminal` on a terminal of its own; raise `LabError` when it cannot be."""

    async def execute_on_its_terminal(
        self, machine_id: str, argv: Sequence[str], env: Mapping[str, str], size: tuple[int, int]
    ) -> tuple[Program, int]:
        """Run a program in an app's Machine on a terminal of that Machine; return the lab's end of it, too."""

    async def command(self, verb: str, machine_id: str) -> str:
        """Start, stop or suspend a Machine and return its state; raise `LabError` when that cannot be."""

    def switch_faults(self, texts: Sequence[str]) -> list[str]:
        """Switch faults on or off and return those that are on then; raise `UsageError` when that cannot be."""

    async def wireguard(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Create, list or remove a WireGuard peer, or restart a gateway; raise `LabError` when that cannot be."""

    def take_down(self) -> None:
        """End the lab."""


def open_door() -> socket.socket:
    """Return the listening socket, named after this user and process; call it before the sandbox."""
    door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    door.bind(door_name(os.geteuid(), os.getpid()))
    door.listen()
    door.setblocking(False)
    return door


def door_name(uid: int, pid: int) -> str:
    """Return the abstract address of the lab that process `pid` of user `uid` started."""
    return f"\0{PREFIX}/{uid}/{pid}"


async def serve(door: socket.socket, lab: Controlled, log: EventLog) -> None:
    """Answer callers until cancelled; report what fails to `log`."""
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as callers:
        while True:
            try:
                caller, _ = await loop.sock_accept(door)
            except OSError as error:  # too many files are open, for the moment: the caller waits
                log("lab", f"a caller cannot be let in: {error}", level="error")
                await asyncio.sleep(_NO_ROOM_PAUSE_SECONDS)
            else:
                callers.create_task(_attend(caller, lab, log))


async def _attend(caller: socket.socket, lab: Controlled, log: EventLog) -> None:
    try:
        await _converse(caller, lab)
    except OSError:
        pass  # the caller has gone, or asks nothing in time: nobody is left to tell
    except Exception as error:  # noqa: BLE001 - one caller's fault must not shut the door on the others
        log("lab", f"a caller of the lab was not answered: {reason(error)}", level="error")


async def _converse(caller: socket.socket, lab: Controlled) -> None:
    with caller:
        if not is_same_user(caller):
            return
        caller.setblocking(False)
        message, streams = await _receive(caller)
        try:
            reply = await _answer(caller, json.loads(message), streams, lab)
        except CommandError as error:
            reply = {"error": str(error), "exit": error.status}
        except Exception as error:  # noqa: BLE001 - one caller's mistake must not shut the door on the others
            reply = {"error": str(error) or repr(error), "exit": 1}
        finally:
            for fd in streams:
                os.close(fd)
        await _send(caller, json.dumps(reply).encode())


def is_same_user(other: socket.socket) -> bool:
    """Tell whether the process at the other end belongs to this user."""
    credentials = other.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return bool(uid == os.geteuid())


async def _receive(caller: socket.socket) -> tuple[bytes, list[int]]:
    async with asyncio.timeout(_REQUEST_SECONDS):
        await _readable(caller)
    message, fds, _, _ = socket.recv_fds(caller, MAX_MESSAGE, _STREAMS)
    return message, list(fds)


async def _send(caller: socket.socket, reply: bytes) -> None:
    async with asyncio.timeout(_REQUEST_SECONDS):
        for at in range(0, len(reply), _PIECE):
            await asyncio.get_running_loop().sock_sendall(caller, reply[at : at + _PIECE])


async def _readable(caller: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(caller, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(caller)


async def _answer(
    caller: socket.socket, request: dict[str, Any], streams: list[int], lab: Controlled
) -> dict[str, Any]:
    match request["do"]:
        case "status":
            return lab.status()
        case "start" | "stop" | "suspend" as verb:
            return {"state": await lab.command(verb, request["machine"])}
        case "fault":
            return {"faults": lab.switch_faults(request["faults"])}
        case "wireguard":
            return await lab.wireguard(request)
        case "down":
            lab.take_down()
            return {"exit": 0}
        case "exec":
            return {"exit": await _accompany(caller, await _execute(caller, request, streams, lab))}
        case other:
            raise LabError(f"expected status, exec, start, stop, suspend, fault, wireguard or down, got {other!r}")


async def _execute(caller: socket.socket, request: dict[str, Any], streams: list[int], lab: Controlled) -> Program:
    machine, argv, env = request["machine"], request["argv"], request["env"]
    if len(streams) == _STREAMS:
        return await lab.execute(machine, argv, env, request["directory"], streams, terminal=request["terminal"])
    lines, columns = request["size"]
    program, ours = await lab.execute_on_its_terminal(machine, argv, env, (lines, columns))
    try:
        socket.send_fds(caller, [b"{}"], [ours])
    finally:
        os.close(ours)
    return program


async def _accompany(caller: socket.socket, program: Program) -> int:
    """Pass the caller's signals on until the program ends; hang up on it when the caller goes."""
    async with asyncio.TaskGroup() as group:
        signals = group.create_task(_pass_signals(caller, program))
        status = await program.ended()
        signals.cancel()
    return status


async def _pass_signals(caller: socket.socket, program: Program) -> None:
    loop = asyncio.get_running_loop()
    with suppress(OSError, ValueError, KeyError, TypeError):  # gone, or no signal: a hang-up either way
        while message := await loop.sock_recv(caller, MAX_MESSAGE):
            program.send(int(json.loads(message)["signal"]))
    program.send(signal.SIGHUP)
