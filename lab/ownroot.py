"""A root directory of the lab's own: the host's, entry by entry, and beside them `/.fly`.

Fly puts its socket into a directory of the root, and the host's root is not ours to add to.  So a small file system
in memory becomes the root; what the host has in its own is bound into it, mounts below included, so every path means
what it meant.  The mounts of a user namespace may be bound only whole, and never taken away (mount_namespaces(7)).
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from lab import namespaces as ns
from lab.errors import RefusedError
from lab.inheritance import current_directory

FLY_DIRECTORY = "/.fly"


def move_in(staging: str) -> None:
    """Make the root over; where the host refuses, it stays as it is, and Machines have no `/.fly`.

    It is built on the directory `staging` of the root, which is empty afterwards, like a `/.fly` that was there.
    Call it in a fresh mount namespace whose mounts are private.
    """
    here = current_directory()
    with suppress(RefusedError, OSError):
        _build(Path(staging))
        _enter(staging)
    with suppress(OSError):
        os.chdir(here)  # the same directory, found through the root of now


def _build(root: Path) -> None:
    ns.mount("tmpfs", str(root), "tmpfs", ns.MS_NOSUID | ns.MS_NODEV, "mode=755,size=64m")
    empty = {str(root), FLY_DIRECTORY}
    for path in empty:
        (root / path[1:]).mkdir()
    for entry in Path("/").iterdir():
        if str(entry) not in empty:
            _bring_in(entry, root / entry.name)


def _bring_in(entry: Path, place: Path) -> None:
    if entry.is_symlink():
        place.symlink_to(entry.readlink())
        return
    if entry.is_dir():
        place.mkdir()
    else:
        place.touch()
    ns.mount(str(entry), str(place), None, ns.MS_BIND | ns.MS_REC)


def _enter(root: str) -> None:
    """Put the new root over the old one and let go of that: pivot_root(2), "pivot_root(".", ".")"."""
    os.chdir(root)
    ns.pivot_root(".", ".")
    ns.detach(".")
    os.chdir("/")
