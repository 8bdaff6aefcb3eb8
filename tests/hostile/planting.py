"""What the hostile app is after: files, sockets, keys, a terminal of the lab's caller, each with a marker in it.

All of it is the test's own and goes with it.  What would disturb others, such as files in /dev/shm, is planted only
where `stage` has put a file system of the test's own in its place.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pty
import secrets
import socket
import socketserver
import struct
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.e2e.running import PROJECT
from tests.hostile.program import calls, keys

if TYPE_CHECKING:
    from collections.abc import Iterable

# Two directories that a file system of the test's own is mounted on: one below /usr, and one in the root.
STAGED_BELOW, STAGED_HOME = "HOSTILE_BELOW", "HOSTILE_HOME"
CALLER = "HOSTILE_CALLER"  # a variable of the caller's environment
SECRET = "HOSTILE_SECRET"  # noqa: S105 - the name of one, given with --secret
DESCRIPTORS, PROCESSES, MEMORY_MB, MORE_THAN_A_LAYER_MB = 16_384, 1500, 256, 300
_STAGE = """
app=$1; below=$2; home=$3; shift 3
mount -t tmpfs -o mode=1777 hostile /dev/shm
mount -t tmpfs -o mode=1777 hostile "$home"
mkdir "$app/below"
mount -t tmpfs -o mode=1777 hostile "$app/below"
mount -t tmpfs -o mode=1777 hostile "$below"
cp "$(command -v id)" "$below/id"; chmod 4755 "$below/id"
export HOSTILE_BELOW="$below" HOSTILE_HOME="$home"
exec "$@"
"""
_MARKERS = (
    "caller",
    "secret",
    "file",
    "listener",
    "key",
    "victim",
    "stranger",
    "victim-answer",
    "stranger-answer",
    "chatter",
)


def stage(app: Path) -> list[str]:
    """Return what runs a program as root with mounts of the test's own in some places of the host."""
    places = [Path(path) for path in ("/usr/games", "/usr/local/games", "/usr/share/doc", "/home", "/srv", "/media")]
    needed = [*_needed(), app]
    free = [str(place) for place in places if place.is_dir() and not any(path.is_relative_to(place) for path in needed)]
    below, home = (next(p for p in free if p.startswith("/usr/") is in_usr) for in_usr in (True, False))
    return ["unshare", "--mount", "--propagation=private", "sh", "-ec", _STAGE, "stage", str(app), below, home]


def _needed() -> list[Path]:
    """Return what this interpreter and the tests cannot do without."""
    return [Path(path).resolve() for path in (sys.prefix, sys.base_prefix, sys.executable, PROJECT)]


class _Banner(socketserver.BaseRequestHandler):
    """Answers anything with the marker, in words of HTTP too."""

    marker = ""

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            self.request.sendall(
                f"HTTP/1.1 200 {self.marker}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
            )
            self.request.settimeout(1)
            self.request.recv(4096)


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True


class _Tcp6(_Tcp):
    address_family = socket.AF_INET6


class _Unix(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


class Plants:
    """The plants of one run, below `directory`, where the hostile app's own directory is `app`."""

    def __init__(self, directory: Path, app: Path) -> None:
        """Plant everything."""
        self.marker = {name: f"{name}-{secrets.token_hex(8)}" for name in _MARKERS}
        self.directory = directory
        self.daemon = f"daemon-{secrets.token_hex(8)}"
        self.app = app
        self._stack = contextlib.ExitStack()
        self._shared = ""
        self._staged = os.environ.get(STAGED_BELOW, "")
        self._home = os.environ.get(STAGED_HOME, "")
        self._master, self.terminal = pty.openpty()
        self.open_directory = os.open(directory, os.O_RDONLY)
        self._plant_files()
        self._listeners = self._plant_listeners()
        self._keys = self._plant_keys()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        for fd in (self._master, self.terminal, self.open_directory):
            os.close(fd)

    def _plant_files(self) -> None:
        text = self.marker["file"]
        self._secrets = [self._write(self.directory / "secret.txt", text)]
        self._writable = [self._write(self.directory / "writable.txt", "untouched"), str(self.app / "fly.toml")]
        self._below: list[str] = []
        self._links = [str(self.app / name) for name in ("link", "directory/secret.txt")]
        (self.app / "link").symlink_to(self.directory / "secret.txt")
        (self.app / "directory").symlink_to(self.directory)
        (self.app / "etc").symlink_to("/etc")
        if self._staged:
            somebody = Path(self._home, "somebody")
            somebody.mkdir()
            self._secrets.append(self._write(somebody / "key", text))
            self._shared = self._write(Path("/dev/shm/hostile.txt"), text)
            self._below = [
                self._write(Path(place, "below.txt"), "untouched") for place in (self.app / "below", self._staged)
            ]

    @staticmethod
    def _write(path: Path, text: str) -> str:
        path.write_text(text)
        path.chmod(0o600)
        return str(path)

    def _plant_listeners(self) -> dict[str, Any]:
        handler = type("Banner", (_Banner,), {"marker": self.marker["listener"]})
        abstract = f"hostile-{secrets.token_hex(4)}"
        paths = [str(self.directory / "host.sock"), *(["/dev/shm/host.sock"] if self._staged else [])]
        servers: list[Any] = [_Tcp(("0.0.0.0", 0), handler), _Tcp6(("::", 0), handler)]
        ports = [server.server_address[1] for server in servers]
        servers += [_Unix(address, handler) for address in (*paths, f"\0{abstract}")]
        for server in servers:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self._stack.callback(server.server_close)
            self._stack.callback(server.shutdown)
        return {"listeners": ports, "unix_sockets": paths, "abstract_sockets": [abstract]}

    def _plant_keys(self) -> dict[str, str]:
        name = f"hostile-{secrets.token_hex(4)}"
        names = {"session": f"{name}-session", "user": f"{name}-user"}
        keys.join_a_session()
        keys.plant(keys.SESSION, names["session"], self.marker["key"])
        planted = keys.plant(keys.USER, names["user"], self.marker["key"])
        self._stack.callback(keys.remove, keys.USER, planted)
        return names

    def targets(self) -> dict[str, Any]:
        """Return where everything is, for the hostile app."""
        terminal = os.ttyname(self.terminal)
        return {
            **self._listeners,
            "marker": self.marker,
            "secret_files": self._secrets,
            "links": self._links,
            "private_files": _private_files(str(self.app / "etc/shadow")),
            "homes": self._homes(),
            "writable": {path: identity(path) for path in self._writable + _system_files()},
            "writable_below_mounts": {path: identity(path) for path in self._below},
            "places": {path: identity(path) for path in ("/dev", "/dev/shm", "/tmp", "/run") if Path(path).is_dir()},
            "handles": list(_handles([*self._secrets, *self._below], self.marker["file"], "untouched")),
            "setuid": f"{self._staged}/id" if self._staged else "",
            "disks": _disks(),
            "terminal": {"path": terminal, "identity": identity(terminal)},
            "shared_memory": self._shared,
            "keys": self._keys,
            "memory_mb": MEMORY_MB,
            "more_than_a_layer_mb": MORE_THAN_A_LAYER_MB,
            "processes": PROCESSES,
            "descriptors": DESCRIPTORS,
        }

    def conditions(self) -> list[str]:
        """Return what is different in this run, as the table of attempts has it."""
        import resource  # noqa: PLC0415 - only here

        few = resource.getrlimit(resource.RLIMIT_NOFILE)[1] <= DESCRIPTORS
        found = {"unstaged": not self._staged, "user": not _private_files(), "few-descriptors": few}
        return [name for name, is_so in found.items() if is_so]

    def heard(self) -> str:
        """Return what came out where the hostile app could only guess that it arrives."""
        os.set_blocking(self._master, False)
        said = ""
        with contextlib.suppress(OSError):
            said = os.read(self._master, 65536).decode(errors="replace")
        return said + "".join(Path(path).read_text() for path in (*self._writable[:1], *self._below))

    def _homes(self) -> dict[str, list[str]]:
        found = {self._home: ["somebody"]} if self._home else {}
        home = Path.home()
        if os.geteuid() == 0 and str(home) != "/":
            needed = [*_needed(), self.directory]
            names = [entry.name for entry in home.iterdir() if not any(path.is_relative_to(entry) for path in needed)]
            found |= {str(home): names} if names else {}
        return found


def identity(path: str | Path) -> list[int]:
    """Return what tells a file from a copy of it."""
    status = Path(path).stat()
    return [status.st_dev, status.st_ino]


def _private_files(*links: str) -> dict[str, str]:
    """Return files that the caller may read and others not, and links to them, with what is in them."""
    with contextlib.suppress(OSError):
        if "root:" in Path("/etc/shadow").read_text():
            return dict.fromkeys(("/etc/shadow", *links), "root:")
    return {}


def _system_files() -> list[str]:
    return [path for path in ("/etc/passwd", "/usr/bin/env", os.__file__) if os.access(path, os.W_OK)]


def _handles(paths: Iterable[str], *texts: str) -> Iterable[dict[str, Any]]:
    for path in paths:
        with contextlib.suppress(OSError):
            room = ctypes.create_string_buffer(struct.pack("=Ii", 128, 0), 136)
            calls.call("name_to_handle_at", calls.AT_FDCWD, path, room, ctypes.byref(ctypes.c_int()), 0)
            size, kind = struct.unpack_from("=Ii", room)
            begins = next(text for text in texts if text in Path(path).read_text())
            yield {"path": path, "type": kind, "bytes": room.raw[8 : 8 + size].hex(), "begins": begins}


def _disks() -> list[list[int]]:
    lines = Path("/proc/partitions").read_text().split("\n")[2:]
    return [[int(number) for number in line.split()[:2]] for line in lines if line][:2]
