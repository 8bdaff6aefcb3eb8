"""Who an image's USER is.

Rules (OCI image configuration, `User`): `user`, `uid`, `user:group`, `uid:gid` and their mixtures; names are looked up
in the image's own /etc/passwd and /etc/group.  A user without a group has the one of /etc/passwd, and the further ones
of /etc/group; a number that is not there has group 0.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from shell.flytoml.regular_file import read_regular

_MOST_BYTES = 4 * 1024 * 1024  # some 50,000 users


@dataclass(frozen=True, slots=True)
class Identity:
    """The ids a program runs under, and its home directory."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/root"

    def assume(self) -> None:
        """Run as it from here on; the rights of root do not come back."""
        if (self.uid, self.gid) == (0, 0):
            return
        try:
            os.setgroups(self.groups)
            os.setgid(self.gid)
            os.setuid(self.uid)
        except OSError:
            who = f"user {self.uid}, group {self.gid}"
            raise LabError(f"the image's {who} is none of the ids that the lab has without root's rights") from None


def is_root(user: str) -> bool:
    """Tell whether `user` is root and needs no look into the image."""
    return user.partition(":")[0] in {"", "0", "root"}


def identity_of(user: str, root: Path = Path("/")) -> Identity:
    """Return who `user` is in the file system `root`; raise `LabError` for a name that it does not have."""
    who, _, group = user.partition(":")
    who = who or "0"
    entry = _find(_lines(root / "etc/passwd", 7), who)
    if entry is None and not who.isdecimal():
        raise LabError(f"expected the image's USER {who!r} in its /etc/passwd, which has no such name")
    uid, gid, home = (int(entry[2]), int(entry[3]), entry[5]) if entry else (int(who), 0, "/")
    groups = _lines(root / "etc/group", 4)
    if group:
        return Identity(uid, _group_id(group, groups), (), home or "/")
    name = entry[0] if entry else None
    further = tuple(int(line[2]) for line in groups if name in line[3].split(",") and int(line[2]) != gid)
    return Identity(uid, gid, further, home or "/")


def _group_id(group: str, groups: list[list[str]]) -> int:
    entry = _find(groups, group)
    if entry is None and not group.isdecimal():
        raise LabError(f"expected the group {group!r} of the image's USER in its /etc/group, which has no such name")
    return int(entry[2]) if entry else int(group)


def _find(lines: list[list[str]], wanted: str) -> list[str] | None:
    """Return the entry of that name, else of that number."""
    by_name = next((line for line in lines if line[0] == wanted), None)
    return by_name or next((line for line in lines if line[2] == wanted), None)


def _lines(path: Path, fields: int) -> list[list[str]]:
    try:
        text = read_regular(path, _MOST_BYTES).decode(errors="replace")
    except OSError:
        return []
    split = (line.split(":") for line in text.splitlines())
    return [line for line in split if len(line) == fields and line[2].isdecimal() and _numeric_group(line, fields)]


def _numeric_group(line: list[str], fields: int) -> bool:
    return fields == 4 or line[3].isdecimal()  # noqa: PLR2004 - a line of /etc/group has four fields
