"""Which platforms this machine runs, by the names that images give them.

Rules (OCI image index, `platform`): `os/architecture/variant` with Go's names, where a variant may be left out; without
one, arm64 is v8, arm is v7, and amd64 is v1, which every amd64 processor runs.  A later arm runs what an earlier one
does; the variants of amd64 above v1 are left alone, because not every processor has them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_RUN = {
    "x86_64": ("linux/amd64", "linux/amd64/v1"),
    "aarch64": ("linux/arm64", "linux/arm64/v8"),
    "armv7l": ("linux/arm/v7", "linux/arm", "linux/arm/v6", "linux/arm/v5"),
    "armv6l": ("linux/arm/v6", "linux/arm/v5"),
    "i686": ("linux/386",),
    "loongarch64": ("linux/loong64",),
}
_NOT_IN_A_NAME = re.compile(r"[^\w.-]")


def platforms_of(machine: str) -> tuple[str, ...]:
    """Return the platforms that a machine runs, the best first; `machine` is its name as `uname -m` prints it."""
    return _RUN.get(machine, (f"linux/{machine}",))


def platform_name(described: Mapping[str, Any]) -> str:
    """Return `os/architecture/variant` of a platform or of an image's configuration, "" where it says none."""
    parts = (described.get(part) for part in ("os", "architecture", "variant"))
    return "/".join(_NOT_IN_A_NAME.sub("?", str(part)) for part in parts if part)
