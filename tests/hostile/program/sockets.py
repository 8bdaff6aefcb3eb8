"""Unix sockets of the host, of the lab and of other Machines; the caller's terminal."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from .attempts import Attempt, NotTriedError, signature
from .uncover import uncovering

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .attempts import Targets

_SECONDS = 2.0


def _opens_a_terminal() -> str:
    with contextlib.suppress(OSError):
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
        return "/dev/tty is a terminal of whoever started the lab"
    return ""


INHERITED_TERMINAL = _opens_a_terminal()  # of the program itself: each attempt has a session of its own


def connect_to_paths(targets: Targets) -> str:
    return uncovering(lambda: _answering(targets["unix_sockets"], targets["marker"]["listener"]))


def connect_to_abstract_names(targets: Targets) -> str:
    return _answering([f"\0{name}" for name in targets["abstract_sockets"]], targets["marker"]["listener"])


def _answering(addresses: Iterable[str], marker: str) -> str:
    for address in addresses:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_SECONDS)
            connection.connect(address)
            if marker in connection.recv(256).decode("utf-8", "replace"):
                return f"the socket {address!r} of the host answers"
    return ""


def open_the_labs_door(targets: Targets) -> str:
    """Ask the lab, as its own commands do from another terminal."""
    for name in targets["doors"]:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.settimeout(_SECONDS)
            connection.connect(f"\0{name}")
            connection.send(json.dumps({"do": "status"}).encode())
            if answer := connection.recv(65536):
                return f"the lab's door {name} says {answer[:60]!r}"
    return ""


def ask_other_machines_apis(targets: Targets) -> str:
    return _over_apis(targets, "GET", "", b'"id"')


def stop_other_machines(targets: Targets) -> str:
    return _over_apis(targets, "POST", "/stop", b'"ok"')


def _over_apis(targets: Targets, method: str, action: str, expected: bytes) -> str:
    """Ask the API of each other Machine, at the path that it has in the lab."""
    others = {machine["id"]: machine["app"] for machine in targets["machines"].values()}

    def look() -> str:
        found = []
        for machine, app in others.items():
            request = f"{method} /v1/apps/{app}/machines/{machine}{action} HTTP/1.1\r\nHost: flaps\r\n\r\n"
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(_SECONDS)
                connection.connect(f"/run/fly/{machine}/api")
                connection.sendall(request.encode())
                if expected in connection.recv(65536):
                    found.append(f"{app} ({machine})")
        return f"{method} {action or 'state'} is answered for {' and '.join(found)}" if found else ""

    return uncovering(look)


def open_the_callers_terminal(targets: Targets) -> str:
    """Write to the terminal of whoever started the lab."""
    terminal = targets["terminal"]

    def look() -> str:
        with contextlib.suppress(OSError):
            fd = os.open(terminal["path"], os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            try:
                status = os.fstat(fd)
                if [status.st_dev, status.st_ino] == terminal["identity"]:
                    os.write(fd, signature("terminal").encode())
                    return f"wrote to {terminal['path']}"
            finally:
                os.close(fd)
        return ""

    return uncovering(look)


def have_a_controlling_terminal(_: Targets) -> str:
    return INHERITED_TERMINAL


def write_through_shared_memory(targets: Targets) -> str:
    """Read what the host keeps in /dev/shm."""
    if not targets["shared_memory"]:
        raise NotTriedError("nothing was put into /dev/shm")
    path, marker = Path(targets["shared_memory"]), targets["marker"]["file"]

    def look() -> str:
        with contextlib.suppress(OSError):
            if marker in path.read_text(errors="replace"):
                return f"read {path}"
        return ""

    return uncovering(look)


ATTEMPTS = (
    Attempt("unix-sockets", "connect to unix sockets of the host", connect_to_paths),
    Attempt("abstract-sockets", "connect to abstract unix sockets of the host", connect_to_abstract_names),
    Attempt("door", "ask the lab through the door of its own commands", open_the_labs_door),
    Attempt("machine-apis", "talk to /.fly/api of other Machines", ask_other_machines_apis),
    Attempt("terminal", "write to the caller's terminal", open_the_callers_terminal),
    Attempt("controlling-terminal", "have the caller's terminal as its own", have_a_controlling_terminal),
    Attempt("shared-memory", "read the host's /dev/shm", write_through_shared_memory,
            {"unstaged": "an ordinary user cannot put a /dev/shm in the place of the host's, and others use that one"}),
)  # fmt: skip
STOP_MACHINES = Attempt("stop-machines", "stop other Machines", stop_other_machines)
