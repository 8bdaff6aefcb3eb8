"""`flycast-lab exec`, `status`, `machine` and `down`: talk to a lab that another terminal keeps up."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.cli import program_of
from lab.control import MAX_MESSAGE, PREFIX, door_name, is_same_user
from lab.errors import LabError, UsageError
from lab.inheritance import current_directory, heeded

if TYPE_CHECKING:
    import argparse
    from types import FrameType

_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_TIMEOUT_SECONDS = 10
_MACHINE_SECONDS = 330  # the longest kill_timeout, 300 s, and some more


def do(arguments: argparse.Namespace) -> int:
    """Carry out one command on the chosen lab; return its exit status."""
    program = program_of(arguments) if arguments.do == "exec" else []
    pid = _chosen(arguments.lab)
    with _knock(pid) as door:
        if program:
            return _execute(door, arguments.machine, program)
        if arguments.do == "down":
            return _take_down(door, pid)
        if arguments.do == "machine":
            return _command(door, arguments.verb, arguments.id)
        reply = _ask(door, {"do": "status"})
        print(json.dumps(reply, indent=2) if arguments.json else "\n".join(_table(reply)))
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


def _chosen(wanted: int | None) -> int:
    if wanted is not None:
        return wanted
    up = labs_up()
    if not up:
        raise LabError("no lab of yours is up; start one with 'flycast-lab up'")
    if len(up) > 1:
        raise UsageError(f"several labs are up ({', '.join(map(str, up))}); choose one with --lab PID")
    return up[0]


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


def _ask(door: socket.socket, request: dict[str, Any]) -> dict[str, Any]:
    try:
        door.send(json.dumps(request).encode())
        reply = _reply(door)
    except TimeoutError:
        raise LabError(f"the lab does not answer within {door.gettimeout():g} s; is it stopped (Ctrl-Z)?") from None
    if "error" in reply:
        raise LabError(reply["error"])
    return reply


def _command(door: socket.socket, verb: str, machine_id: str) -> int:
    door.settimeout(_MACHINE_SECONDS)
    print(f"Machine {machine_id} is {_ask(door, {'do': verb, 'machine': machine_id})['state']}")
    return 0


def _take_down(door: socket.socket, pid: int) -> int:
    lab = os.pidfd_open(pid)
    _ask(door, {"do": "down"})
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


def _table(status: dict[str, Any]) -> list[str]:
    rows = [("MACHINE", "APP", "REGION", "STATE", "LOAD", "6PN ADDRESS")]
    rows += [(m["id"], m["app"], m["region"], m["state"], str(m["load"]), m["private_ip"]) for m in status["machines"]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _execute(door: socket.socket, machine: str, program: list[str]) -> int:
    request = {
        "do": "exec",
        "machine": machine,
        "argv": program,
        "env": dict(os.environ),
        "directory": current_directory(),
    }
    message = json.dumps(request).encode()
    if len(message) > MAX_MESSAGE:
        raise UsageError(f"exec: command and environment take {len(message)} bytes, at most {MAX_MESSAGE} fit")

    def pass_on(number: int, _frame: FrameType | None) -> None:
        with suppress(OSError):  # the lab has ended, as the reply tells next
            door.send(json.dumps({"signal": number}).encode())

    socket.send_fds(door, [message], [0, 1, 2])
    for number in heeded(*_PASSED_ON):
        signal.signal(number, pass_on)
    door.settimeout(None)  # a program takes as long as it takes
    reply = _reply(door)
    if "error" in reply:
        print(f"flycast-lab: {reply['error']}", file=sys.stderr)
    return int(reply["exit"])
