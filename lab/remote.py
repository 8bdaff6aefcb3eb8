"""`flycast-lab exec`, `shell`, `status`, `machine`, `fault`, `down`: talk to a lab that another terminal keeps up."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import socket
import sys
import termios
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import relay
from lab.cli import program_of
from lab.control import MAX_MESSAGE, PREFIX, door_name, is_same_user
from lab.errors import LabError, UsageError
from lab.faults import Faults, switch
from lab.inheritance import current_directory, heeded
from lab.tables import machine_lines, status_lines

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable
    from types import FrameType

_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_TIMEOUT_SECONDS = 10
_NAMING_SECONDS = 1
_MACHINE_SECONDS = 330  # the longest kill_timeout, 300 s, and some more


def do(arguments: argparse.Namespace) -> int:
    """Carry out one command on the chosen lab; return its exit status."""
    program = program_of(arguments) if arguments.do == "exec" else []
    pid = chosen(arguments.lab)
    match arguments.do:
        case "exec":
            return _execute(pid, arguments.machine, program)
        case "shell":
            return _open_shell(pid, arguments.machine, program_of(arguments, default=_shell()))
        case "down":
            return _take_down(pid)
        case "fault":
            return _switch(pid, arguments.faults)
        case "machine" if arguments.verb != "list":
            return _command(pid, arguments.verb, arguments.id)
    return _show(pid, arguments)


def _show(pid: int, arguments: argparse.Namespace) -> int:
    if arguments.do == "status" and arguments.watch:
        from lab.watch import watch  # noqa: PLC0415

        return watch(pid, as_json=arguments.json)
    lines = machine_lines if arguments.do == "machine" else status_lines
    status = ask(pid, {"do": "status"})
    print(json.dumps(status, indent=2) if arguments.json else "\n".join(lines(status)))
    return 0


def labs_up() -> list[int]:
    """Return the process ids of this user's labs that are up."""
    name = re.compile(rf"@{PREFIX}/{os.geteuid()}/([0-9]{{1,9}})$", re.MULTILINE)
    names = name.findall(Path("/proc/net/unix").read_text("latin-1"))
    found = []
    for pid in sorted({int(name) for name in names}):
        with suppress(LabError):
            _knock(pid).close()
            found.append(pid)
    return found


def chosen(wanted: int | None) -> int:
    """Return the process id of the lab that is meant: `wanted`, else the only one that is up."""
    if wanted is not None:
        try:
            _knock(wanted).close()
        except LabError as error:
            up = labs_up()
            raise LabError(f"{error}; up are: {_named(up)}" if up else str(error)) from None
        return wanted
    up = labs_up()
    if not up:
        raise LabError("no lab of yours is up; start one with 'flycast-lab up'")
    if len(up) > 1:
        raise UsageError(f"several labs are up: {_named(up)}; choose one with --lab PID")
    return up[0]


def _named(pids: Iterable[int]) -> str:
    """Return labs by process id, each with the apps it runs."""
    shown = []
    for pid in pids:
        try:
            status = ask(pid, {"do": "status"}, _NAMING_SECONDS)
        except LabError:  # it is starting, or stopped
            shown.append(str(pid))
        else:
            shown.append(f"{pid} ({', '.join(app['name'] for app in status['apps'])})")
    return ", ".join(shown)


def _knock(pid: int) -> socket.socket:
    """Return a connection to the lab of process `pid`; another user's under that name is none."""
    door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    door.settimeout(_TIMEOUT_SECONDS)
    try:
        door.connect(door_name(os.geteuid(), pid))
        if is_same_user(door):
            return door
    except OSError:
        pass
    door.close()
    raise LabError(f"no lab of yours with process id {pid} is up")


def ask(pid: int, request: dict[str, Any], timeout_seconds: float = _TIMEOUT_SECONDS) -> dict[str, Any]:
    """Return the answer of the lab of process `pid`; raise `LabError` when it has none, or an error."""
    with _knock(pid) as door:
        door.settimeout(timeout_seconds)
        try:
            door.send(json.dumps(request).encode())
            reply = _reply(door)
        except TimeoutError:
            raise LabError(f"the lab does not answer within {timeout_seconds:g} s; is it stopped (Ctrl-Z)?") from None
    if "error" in reply:
        raise LabError(reply["error"])
    return reply


def _command(pid: int, verb: str, machine_id: str) -> int:
    reply = ask(pid, {"do": verb, "machine": machine_id}, _MACHINE_SECONDS)
    print(f"Machine {machine_id} is {reply['state']}")
    return 0


def _switch(pid: int, faults: list[str]) -> int:
    switch(Faults(), faults)
    on = ask(pid, {"do": "fault", "faults": faults})["faults"]
    print(f"faults on: {', '.join(on) or 'none'}")
    return 0


def process_of(pid: int) -> int:
    """Return a descriptor that becomes readable when the lab of process `pid` has ended."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise LabError(f"the lab of process id {pid} has just ended") from None


def _take_down(pid: int) -> int:
    lab = process_of(pid)
    ask(pid, {"do": "down"})
    if not select.select([lab], [], [], _TIMEOUT_SECONDS)[0]:
        raise LabError(f"the lab was told, but has not ended within {_TIMEOUT_SECONDS} s; end it with: kill -9 {pid}")
    return 0


def _reply(door: socket.socket) -> dict[str, Any]:
    pieces = []
    with suppress(ConnectionError):  # a lab that was killed
        while piece := door.recv(MAX_MESSAGE):
            pieces.append(piece)
    reply: dict[str, Any] = json.loads(b"".join(pieces) or b'{"error": "the lab ended", "exit": 1}')
    return reply


def _execute(pid: int, machine: str, program: list[str]) -> int:
    ours, streams = relay.open_pipes() if _is_an_app_s(machine) else ([], [0, 1, 2])
    with _knock(pid) as door:

        def pass_on(number: int, _frame: FrameType | None) -> None:
            with suppress(OSError):  # the lab has ended, as the reply tells next
                door.send(json.dumps({"signal": number}).encode())

        _send_program(door, machine, program, streams, terminal=False)
        for number in heeded(*_PASSED_ON):
            signal.signal(number, pass_on)
        if ours:
            for descriptor in streams:
                os.close(descriptor)
            relay.carry(ours, until=door.fileno())
        return _exit_status(door)


def _is_an_app_s(machine: str) -> bool:
    """Tell whether that Machine runs an app; the others run the caller's commands on the caller's streams."""
    return machine.partition(".")[0] not in {"shell", "laptop", "internet"}


def _open_shell(pid: int, machine: str, program: list[str]) -> int:
    from lab import terminal  # noqa: PLC0415

    terminal.require()
    with _knock(pid) as door:
        if _is_an_app_s(machine):  # whose terminal is one of its own Machine
            _send_program(door, machine, program, [], terminal=True)
            message, found, _, _ = socket.recv_fds(door, MAX_MESSAGE, 1)
            if not found:
                return _exit_status(door, json.loads(message or b"{}"))
            ours = found[0]
        else:
            ours, theirs = os.openpty()
            terminal.copy_size(ours)
            _send_program(door, machine, program, [theirs] * 3, terminal=True)
            os.close(theirs)
        terminal.join(ours, until=door.fileno())
        return _exit_status(door)


def _shell() -> list[str]:
    return [next(filter(shutil.which, ("bash", "sh")), "/bin/sh")]


def _send_program(door: socket.socket, machine: str, program: list[str], streams: list[int], *, terminal: bool) -> None:
    request = {
        "do": "exec",
        "machine": machine,
        "argv": program,
        "env": dict(os.environ),
        "directory": current_directory(),
        "terminal": terminal,
        "size": termios.tcgetwinsize(1) if terminal else None,
    }
    message = json.dumps(request).encode()
    if len(message) > MAX_MESSAGE:
        raise UsageError(f"command and environment take {len(message)} bytes, at most {MAX_MESSAGE} fit")
    socket.send_fds(door, [message], streams)


def _exit_status(door: socket.socket, reply: dict[str, Any] | None = None) -> int:
    door.settimeout(None)  # a program takes as long as it takes
    reply = reply or _reply(door)
    if "error" in reply:
        print(f"flycast-lab: {reply['error']}", file=sys.stderr)
    return int(reply["exit"])
