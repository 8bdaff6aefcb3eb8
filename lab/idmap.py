"""Which user ids a lab without the rights of root has inside: one, or also a range that newuidmap grants.

Rules (newuidmap(1), subuid(5)): a line `NAME:FIRST:COUNT` of /etc/subuid grants NAME that many ids, /etc/subgid the
groups; the setuid programs newuidmap and newgidmap, run from outside, write them into a user namespace.  Only an image
needs more than one id: its USER is another than its root.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from lab.errors import LabError
from lab.image.user import is_root

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lab.image.archive import Image
    from lab.start.ids import Ids

_TOOLS = ("newuidmap", "newgidmap")
_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Range:
    """Ids of the host that are ours, from `first` on."""

    first: int
    count: int


def granted_ids(images: Sequence[Image]) -> tuple[Range, Range] | None:
    """Return the users and groups to map for these images; raise `LabError` when one needs them in vain."""
    if not images or os.geteuid() == 0:
        return None
    names = {str(os.geteuid()), _name_of(os.geteuid())}
    users, groups = (granted(_text_of(Path("/etc", file)), names) for file in ("subuid", "subgid"))
    if users and groups and all(shutil.which(tool) for tool in _TOOLS):
        return users, groups
    for image in images:
        if not is_root(image.user):
            name = _name_of(os.geteuid())
            raise LabError(
                f"image {image.name} runs as user {image.user!r}: without root's rights that takes newuidmap and "
                f"newgidmap (Debian: apt install uidmap) and '{name}:100000:65536' in /etc/subuid and /etc/subgid"
            )
    return None


def granted(text: str, names: set[str]) -> Range | None:
    """Return the first range that a file like /etc/subuid grants to one of `names`."""
    for line in text.splitlines():
        name, *numbers = line.strip().split(":")
        if name in names and len(numbers) == 2 and all(number.isdecimal() for number in numbers):  # noqa: PLR2004
            return Range(*map(int, numbers))
    return None


def map_granted(users: Range, groups: Range, leave: Callable[[], None]) -> None:
    """Call `leave`, which enters a user namespace, and have the ranges mapped in it, with our own ids as root's."""
    target, own = str(os.getpid()), (os.geteuid(), os.getegid())

    def map_them() -> None:
        for tool, mine, ids in zip(_TOOLS, own, (users, groups), strict=True):
            command = [tool, target, *map(str, (0, mine, 1, 1, ids.first, ids.count))]
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
            if done.returncode:
                raise LabError(f"$ {' '.join(command)}: {done.stderr or done.returncode}")

    if problem := _map_from_outside(leave, map_them):
        raise LabError(problem)


def map_as_root(machines: Ids, leave: Callable[[], None]) -> bool:
    """Call `leave` and have root mapped to itself there, and the ids of Machines; return whether that was allowed."""
    target = Path(f"/proc/{os.getpid()}")

    def map_them() -> None:
        for name, extents in (("uid_map", machines.users), ("gid_map", machines.groups)):
            (_, first, count), *_ = extents
            further = f"1 {first} {count}\n" if first else ""
            (target / name).write_text(f"0 0 1\n{further}")

    return not _map_from_outside(leave, map_them)


def _map_from_outside(leave: Callable[[], None], map_them: Callable[[], None]) -> str:
    """Enter a user namespace by `leave`, and let a process that stays outside map its ids; return its problem, if any.

    Only a process outside may map more than one id, see user_namespaces(7).
    """
    gone, left = os.pipe()
    report, write = os.pipe()
    outside = os.fork()
    if outside == 0:
        os.close(left)
        os.close(report)
        _wait_and_map(map_them, gone, write)
    os.close(gone)
    os.close(write)
    try:
        leave()
        os.write(left, b".")
    finally:
        os.close(left)
        with os.fdopen(report, errors="replace") as said:
            problem = said.read().strip()
        os.waitpid(outside, 0)
    return problem


def _wait_and_map(map_them: Callable[[], None], gone: int, write: int) -> NoReturn:
    try:
        if os.read(gone, 1):
            map_them()
    except (LabError, OSError, subprocess.TimeoutExpired) as error:
        os.write(write, str(error).encode())
    finally:
        os._exit(0)


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
