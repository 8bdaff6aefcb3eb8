"""Files, mounts and directories of the host, of the caller and of other Machines."""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import calls
from .attempts import Attempt, NotTriedError
from .uncover import mount_points, text_of, uncovering

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .attempts import Targets

_UNSTAGED = {"unstaged": "an ordinary user cannot mount what this looks for"}


def read_secret_files(targets: Targets) -> str:
    return uncovering(lambda: _holding(targets["marker"]["file"], targets["secret_files"]))


def _holding(marker: str, paths: Iterable[str]) -> str:
    return next((f"read {path}" for path in paths if marker in text_of(path)), "")


def follow_links(targets: Targets) -> str:
    """Read through the symbolic links that are planted beside fly.toml."""
    return _holding(targets["marker"]["file"], targets["links"])


def read_private_files(targets: Targets) -> str:
    if not targets["private_files"]:
        raise NotTriedError("the caller can read no private file either")
    wanted = targets["private_files"].items()
    return uncovering(lambda: next((f"read {path}" for path, begin in wanted if begin in text_of(path)), ""))


def list_homes(targets: Targets) -> str:
    if not targets["homes"]:
        raise NotTriedError("no home directory holds anything")

    def look() -> str:
        for home, names in targets["homes"].items():
            with contextlib.suppress(OSError):
                if found := {entry.name for entry in Path(home).iterdir()} & set(names):
                    return f"{home} holds {', '.join(sorted(found)[:5])}"
        return ""

    return uncovering(look)


def write_the_hosts_files(targets: Targets) -> str:
    """Open files for writing, and write nothing; the one that is opened must be the host's own, not a copy of it."""
    return _writable(targets["writable"])


def write_below_mounts(targets: Targets) -> str:
    if not targets["writable_below_mounts"]:
        raise NotTriedError("nothing is mounted below a directory of the root")
    return _writable(targets["writable_below_mounts"])


def _writable(wanted: dict[str, list[int]]) -> str:
    def look() -> str:
        for path, identity in wanted.items():
            with contextlib.suppress(OSError):
                fd = os.open(path, os.O_WRONLY | os.O_APPEND)
                try:
                    if _identity(fd) == identity:
                        return f"opened the host's {path} for writing"
                finally:
                    os.close(fd)
        return ""

    return uncovering(look)


def _identity(place: int | Path) -> list[int]:
    status = os.fstat(place) if isinstance(place, int) else place.stat()
    return [status.st_dev, status.st_ino]


def enter_the_hosts_directories(targets: Targets) -> str:
    """See a directory of the host that Machines have one of their own in the place of, and make a file there."""
    if not targets["places"]:
        raise NotTriedError("the host has none of these directories")

    def look() -> str:
        for path, identity in targets["places"].items():
            with contextlib.suppress(OSError):
                if _identity(Path(path)) == identity and os.access(path, os.W_OK):
                    return f"{path} is the host's, and can be written"
        return ""

    return uncovering(look)


def read_staging_files(targets: Targets) -> str:
    """Read what the lab wrote for other Machines before it mounted it there."""
    wanted = [machine["id"] for machine in targets["machines"].values()]

    def look() -> str:
        for directory in ("/run/etc", "/run/fly"):
            with contextlib.suppress(OSError):
                for entry in Path(directory).iterdir():
                    if entry.name.partition(".")[0] in wanted:
                        return f"found {entry}"
        return ""

    return uncovering(look)


def open_by_handle(targets: Targets) -> str:
    """Open a file by what identifies it in its file system, past every mount and every directory."""
    if not targets["handles"]:
        raise NotTriedError("no file system here gives handles")

    def look() -> str:
        for point in {*mount_points(), "/", "/tmp", "/usr", "/opt", "/etc", "."}:
            with contextlib.suppress(OSError):
                fd = os.open(point, os.O_RDONLY)
                try:
                    if found := _by_handles(fd, targets["handles"]):
                        return f"{found} by its handle, from {point}"
                finally:
                    os.close(fd)
        return ""

    return uncovering(look)


def _by_handles(mount_fd: int, handles: Iterable[dict[str, Any]]) -> str:
    for handle in handles:
        raw = bytes.fromhex(handle["bytes"])
        with contextlib.suppress(OSError):
            packed = struct.pack("=Ii", len(raw), handle["type"]) + raw
            fd = calls.call("open_by_handle_at", mount_fd, packed, os.O_RDONLY)
            try:
                if handle["begins"] in os.read(fd, 4096).decode("utf-8", "replace"):
                    return f"opened {handle['path']}"
            finally:
                os.close(fd)
    return ""


def run_a_setuid_program(targets: Targets) -> str:
    """Run a program that is setuid root on the host, as an ordinary user."""
    program = targets["setuid"]
    if not program:
        raise NotTriedError("nobody could make a setuid program")
    with contextlib.suppress(OSError):
        os.setgroups(())
        os.setresgid(4321, 4321, 4321)
        os.setresuid(4321, 4321, 4321)

    before = os.geteuid()
    done = subprocess.run([program, "-u"], capture_output=True, text=True, timeout=5, check=False)
    if done.returncode == 0 and int(done.stdout) != before:
        return f"{program} of the host ran as user {done.stdout.strip()}, started by {before}"
    return ""


def make_device_nodes(targets: Targets) -> str:
    """Make nodes of memory, of the kernel's log and of disks, and open them for reading."""
    wanted = [("memory", stat.S_IFCHR, 1, 1), ("kernel log", stat.S_IFCHR, 1, 11)]
    wanted += [("disk", stat.S_IFBLK, major, minor) for major, minor in targets["disks"]]
    found, refused = [], OSError(1, "mknod")
    for directory in ("/dev", "/dev/shm", "/run", "/tmp", "/var/tmp", "."):
        for name, kind, major, minor in wanted:
            node = Path(directory, f"node-{major}-{minor}")
            try:
                os.mknod(node, kind | 0o600, os.makedev(major, minor))
                os.close(os.open(node, os.O_RDONLY | os.O_NONBLOCK))
                found.append(f"{name} as {node}")
            except OSError as error:
                refused = error
            finally:
                with contextlib.suppress(OSError):
                    node.unlink()
    if not found:
        raise refused
    return f"made and opened: {', '.join(found)}"


def open_devices(_: Targets) -> str:
    """Open the device files that are there: those of a host, not those of a Machine."""
    names = ("mem", "kmsg", "fuse", "net/tun", "loop-control", "kvm", "vda", "sda", "loop0", "tty0", "console", "ttyS0",
             "btrfs-control", "autofs", "userfaultfd", "vhost-net", "vsock")  # fmt: skip

    def look() -> str:
        found = []
        for name in names:
            with contextlib.suppress(OSError):
                os.close(os.open(f"/dev/{name}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY))
                found.append(f"/dev/{name}")
        return f"opened {', '.join(found)}" if found else ""

    return uncovering(look)


ATTEMPTS = (
    Attempt("secret-files", "read the caller's files, also below each mount", read_secret_files),
    Attempt("links-beside-fly-toml", "read host files through links in the app's directory", follow_links),
    Attempt("private-files", "read /etc/shadow and keys of the caller", read_private_files,
            {"user": "the caller cannot read them either"}),
    Attempt("homes", "list the home directories of the host", list_homes, _UNSTAGED),
    Attempt("host-files", "open the host's files for writing, also below each mount", write_the_hosts_files),
    Attempt("below-mounts", "open files for writing on mounts below those of the root", write_below_mounts, _UNSTAGED),
    Attempt("host-directories", "write into the host's /dev, /dev/shm, /tmp or /run", enter_the_hosts_directories),
    Attempt("staging-files", "find what the lab staged for other Machines", read_staging_files),
    Attempt("file-handles", "open files by handle, past the mounts", open_by_handle),
    Attempt("setuid", "become the host's root by a setuid program of the host", run_a_setuid_program, _UNSTAGED),
    Attempt("device-nodes", "make device nodes and open them", make_device_nodes),
    Attempt("devices", "open the host's device files", open_devices),
)  # fmt: skip
