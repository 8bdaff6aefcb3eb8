"""The listening TCP sockets of a Machine, as /proc/net/tcp and tcp6 show them.

Rules (proc_pid_net(5))
- A row is `sl local_address rem_address st …`; the tenth word is the inode. State 0A is LISTEN.
- An address is hexadecimal, in 32-bit words of the machine's own byte order; the port is hexadecimal.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LISTEN = "0A"
_LEAST_WORDS = 10
_WORD_BYTES = 4


@dataclass(frozen=True, slots=True)
class Listening:
    """A listening socket; the process is "" where this user may not see it."""

    address: str
    port: int
    inode: str
    process: str = ""


def parse_table(text: str, byteorder: str = sys.byteorder) -> tuple[Listening, ...]:
    """Return the listening sockets of one table."""
    rows = (line.split() for line in text.splitlines()[1:])
    return tuple(
        Listening(_address(local, byteorder), int(port, 16), row[9])
        for row in rows
        if len(row) >= _LEAST_WORDS and row[3] == _LISTEN
        for local, _, port in [row[1].rpartition(":")]
    )


def read_sockets(proc: Path = Path("/proc")) -> tuple[Listening, ...]:
    """Return every listening socket with its process, by port."""
    processes = dict(_processes(proc))
    found = [socket for name in ("tcp6", "tcp") for socket in parse_table(_text(proc / "net" / name))]
    named = (replace(socket, process=processes.get(f"socket:[{socket.inode}]", "")) for socket in found)
    return tuple(sorted(named, key=lambda socket: (socket.port, socket.address)))


def _processes(proc: Path) -> Iterator[tuple[str, str]]:
    """Yield each socket that a process has open, and the process as `python3 (pid 17)`."""
    for directory in proc.glob("[0-9]*"):
        try:
            name = f"{(directory / 'comm').read_text(errors='replace').strip()} (pid {directory.name})"
            yield from ((str(link.readlink()), name) for link in (directory / "fd").iterdir())
        except OSError:  # it has gone, or it is another user's
            continue


def _address(digits: str, byteorder: str) -> str:
    raw = bytes.fromhex(digits)
    if byteorder == "little":
        raw = b"".join(raw[n : n + _WORD_BYTES][::-1] for n in range(0, len(raw), _WORD_BYTES))
    return str(ip_address(raw))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:  # a kernel without IPv6
        return ""
