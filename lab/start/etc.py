"""The /etc of a Machine: a copy of what every user of the host may read, and the files that Fly's init writes.

What only some users may read (shadow, private keys, passwords of networks) is not copied, so there is nothing to
uncover.  The copy is made once for all Machines of a lab; each writes to a layer of its own above it.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lab.topology import MachinePlan

_MOST_FILE_BYTES = 1024 * 1024
_MOST_BYTES = 32 * 1024 * 1024
_READ, _ENTER = stat.S_IROTH, stat.S_IROTH | stat.S_IXOTH
_OWN_IPV4 = "127.0.1.1"  # as Debian has a host know itself
_NSSWITCH = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n"


def machine_files(plan: MachinePlan, nameserver: str) -> dict[str, str]:
    """Return the files of /etc that Fly's init writes, and an nsswitch.conf that asks them."""
    hosts = (
        (plan.private_ip, "fly-local-6pn"),
        (plan.ipv4, plan.machine_id),
        (plan.ipv4, "fly-global-services"),
    )
    return _files(plan.machine_id, hosts, f"nameserver {nameserver}\n")


def laptop_files(name: str) -> dict[str, str]:
    """Return the same files for a host outside, before anything sets its resolver."""
    return _files(name, ((_OWN_IPV4, name),), "# The lab's internet has no resolver.\n")


def _files(hostname: str, hosts: Iterable[tuple[str, str]], resolver: str) -> dict[str, str]:
    everybody = (("127.0.0.1", "localhost"), ("::1", "localhost ip6-localhost ip6-loopback"))
    return {
        "hosts": "".join(f"{address}\t{names}\n" for address, names in (*everybody, *hosts)),
        "resolv.conf": resolver,
        "hostname": f"{hostname}\n",
        "nsswitch.conf": _NSSWITCH,
    }


def write(files: Mapping[str, str], owner: tuple[int, int]) -> None:
    """Write the `files` into /etc anew, whatever is there under their names; a link is replaced, not followed."""
    for name, text in files.items():
        path = Path("/etc", name)
        with suppress(FileNotFoundError):
            path.unlink()
        path.write_text(text)
        os.chown(path, *owner)


def copy(source: str, target: str, owner: tuple[int, int]) -> None:
    """Copy what everybody may read below the directory `source` to `target`, which is made; `owner` owns the copy.

    Its modes are those of the host, whatever umask this process has.
    """
    _copy(source, target, owner, _MOST_BYTES)


def _copy(source: str, target: str, owner: tuple[int, int], room: int) -> int:
    os.mkdir(target)  # noqa: PTH102 - strings: there are a thousand files, and the lab's start waits for them
    os.chmod(target, 0o755)  # noqa: PTH101, S103 - likewise; every user of the Machine reads it
    with os.scandir(source) as entries:
        for entry in entries:
            place = f"{target}/{entry.name}"
            with suppress(OSError):  # it has just gone, or is nothing that a copy can be made of
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISLNK(status.st_mode):
                    os.symlink(os.readlink(entry.path), place)  # noqa: PTH115, PTH211 - likewise
                elif stat.S_ISDIR(status.st_mode) and status.st_mode & _ENTER == _ENTER:
                    room = _copy(entry.path, place, owner, room)
                elif stat.S_ISREG(status.st_mode) and status.st_mode & _READ and status.st_size <= _MOST_FILE_BYTES:
                    room -= status.st_size
                    if room >= 0:
                        _copy_file(entry.path, place, status, owner)
    os.chown(target, *owner)
    return room


def _copy_file(source: str, target: str, status: os.stat_result, owner: tuple[int, int]) -> None:
    reading = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.sendfile(writing, reading, 0, _MOST_FILE_BYTES)
            os.fchown(writing, *owner)
            os.fchmod(writing, status.st_mode & 0o777)
        finally:
            os.close(writing)
    finally:
        os.close(reading)
