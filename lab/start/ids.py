"""Which ids of the lab the users of a Machine are.

Rules (user_namespaces(7)): each Machine has a user namespace of its own, a child of the lab's.  Where the lab's root is
root outside, too, a Machine's root is another id: a high one that no system gives to a user, so that it owns nothing on
the host.  Where an ordinary user started the lab, a Machine's root is that user, who is not root of the host.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FIRST = 0x70000000  # above the ids of containers, below 2^31: systemd's "Users, Groups, UIDs and GIDs" leaves it free
COUNT = 65536

Extent = tuple[int, int, int]  # the first id inside, the first id outside, and how many there are


@dataclass(frozen=True, slots=True)
class Ids:
    """The maps of users and of groups, from a Machine's to the lab's."""

    users: tuple[Extent, ...]
    groups: tuple[Extent, ...]

    @property
    def root(self) -> tuple[int, int]:
        """The user and the group of the lab that are root in a Machine."""
        return self.users[0][1], self.groups[0][1]

    @property
    def own(self) -> bool:
        """Whether a Machine's root is another user than the lab's, and in another group."""
        return 0 not in self.root

    def text(self) -> tuple[str, str]:
        """Return what to write to uid_map and gid_map."""
        users, groups = ("".join(f"{a} {b} {n}\n" for a, b, n in extents) for extents in (self.users, self.groups))
        return users, groups


def of_machines() -> Ids:
    """Return the ids of every Machine of a lab that this process belongs to."""
    return Ids(*(mapped(extents(Path(f"/proc/self/{name}").read_text("ascii"))) for name in ("uid_map", "gid_map")))


def of_shells() -> Ids:
    """Return the ids of every shell Machine and laptop: the lab's own, so that the caller's files stay the caller's."""
    maps = (extents(Path(f"/proc/self/{name}").read_text("ascii")) for name in ("uid_map", "gid_map"))
    return Ids(*(tuple((inside, inside, count) for inside, _, count in lab) for lab in maps))


def is_root_of_the_host() -> bool:
    """Tell whether root of this user namespace is root of the host: its files below /proc/sys then have that owner."""
    return Path("/proc/sys").stat().st_uid == 0


def extents(text: str) -> tuple[Extent, ...]:
    """Return the rows of a uid_map or gid_map, lowest first."""
    rows = (tuple(map(int, line.split())) for line in text.splitlines())
    return tuple(sorted((inside, outside, count) for inside, outside, count in rows))


def mapped(lab: tuple[Extent, ...]) -> tuple[Extent, ...]:
    """Return a Machine's map, from the map of the user namespace of its lab."""
    if lab[0][:2] != (0, 0):
        return tuple((inside, inside, count) for inside, _, count in lab)
    first, count = high_range(lab)
    return ((0, first, count),) if count else ((0, 0, 1),)


def high_range(lab: tuple[Extent, ...]) -> tuple[int, int]:
    """Return the first and the number of the ids that Machines get in a lab whose root is root outside; 0 if none."""
    without_root = [(max(inside, 1), inside + count) for inside, _, count in lab]
    first, end = max(without_root, key=lambda ids: ids[1] - ids[0])
    if first <= FIRST and end >= FIRST + COUNT:
        return FIRST, COUNT
    taken = min(COUNT, end - first)
    return end - taken, taken
