"""`flycast-lab exec`, `status` and `down`: talk to a lab that another terminal keeps up."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.cli import program_of
from lab.control import MAX_MESSAGE, PREFIX, door_name
from lab.errors import LabError, UsageError

if TYPE_CHECKING:
    import argparse
    from types import FrameType

_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_TIMEOUT_SECONDS = 10


def do(arguments: argparse.Namespace) -> int:
    """Carry out one command on the chosen lab; return its exit status."""
    program = program_of(arguments) if arguments.do == "exec" else []
    with _enter(arguments.lab) as door:
        if program:
            return _execute(door, arguments.machine, program)
        reply = _ask(door, {"do": arguments.do})
        if arguments.do == "status":
            print(json.dumps(reply, indent=2) if arguments.json else "\n".join(_table(reply)))
        else:
            door.recv(MAX_MESSAGE)  # returns when the lab has ended and its socket with it
        return 0


def labs_up() -> list[int]:
    """Return the process ids of this user's labs that are up."""
    mark = f"@{PREFIX}/{os.geteuid()}/"
    names = {line.split()[-1] for line in Path("/proc/net/unix").read_text("utf-8", "replace").splitlines()[1:]}
    return sorted(int(name.removeprefix(mark)) for name in names if name.startswith(mark))


def _enter(wanted: int | None) -> socket.socket:
    up = labs_up()
    if wanted is None:
        if not up:
            raise LabError("no lab of yours is up; start one with 'flycast-lab up'")
        if len(up) > 1:
            raise UsageError(f"several labs are up ({', '.join(map(str, up))}); choose one with --lab PID")
        wanted = up[0]
    door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        door.connect(door_name(os.geteuid(), wanted))
    except OSError:
        door.close()
        raise LabError(f"no lab of yours with process id {wanted} is up") from None
    return door


def _ask(door: socket.socket, request: dict[str, Any]) -> dict[str, Any]:
    door.settimeout(_TIMEOUT_SECONDS)
    door.send(json.dumps(request).encode())
    reply: dict[str, Any] = json.loads(door.recv(MAX_MESSAGE) or b'{"error": "the lab ended"}')
    if "error" in reply:
        raise LabError(reply["error"])
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
        "directory": str(Path.cwd()),
    }
    message = json.dumps(request).encode()
    if len(message) > MAX_MESSAGE:
        raise UsageError(f"exec: command and environment take {len(message)} bytes, at most {MAX_MESSAGE} fit")

    def pass_on(number: int, _frame: FrameType | None) -> None:
        door.send(json.dumps({"signal": number}).encode())

    socket.send_fds(door, [message], [0, 1, 2])
    for number in _PASSED_ON:
        signal.signal(number, pass_on)
    reply: dict[str, Any] = json.loads(door.recv(MAX_MESSAGE) or b'{"error": "the lab ended", "exit": 1}')
    if "error" in reply:
        print(f"flycast-lab: {reply['error']}", file=sys.stderr)
    return int(reply["exit"])
