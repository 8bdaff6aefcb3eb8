"""`flycast-lab doctor`: what this host allows, and for each missing thing its reason and its remedy."""

from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING

from lab.host import CONTAINER_OPTIONS, Hints, Survey, hints, remedy, survey
from lab.wireguard.need import missing

if TYPE_CHECKING:
    from typing import TextIO

_TOOLS = {
    "dig": "dnsutils",
    "nslookup": "dnsutils",
    "ping": "iputils-ping",
    "curl": "curl",
    "nc": "netcat-openbsd",
    "ss": "iproute2",
}


def report(out: TextIO) -> int:
    """Print the report; return 0 when the lab works here, 1 when the host refuses it."""
    found = survey()
    for line in describe(found, hints()):
        print(line, file=out)
    tunnel = "needs forwarding, see above" if found.routing else missing()
    print(f"  --laptop {tunnel or 'a WireGuard tunnel can be had'}", file=out)
    for tool, package in _TOOLS.items():
        where = shutil.which(tool)
        print(f"  {tool:<9}{where or f'missing (optional): apt-get install {package}'}", file=out)
    return 0 if found.works else 1


def describe(found: Survey, known: Hints) -> list[str]:
    """Return the outcome in lines: that it works, or the refused call, its errno and the remedy."""
    if found.works:
        return _what_works(found)
    name = errno.errorcode.get(found.errno, str(found.errno))
    text = os.strerror(found.errno) if found.errno else "no errno"
    said = ", ".join(f"{key.replace('/', '.')}={value}" for key, value in known.limits) or "nothing"
    return [
        f"The lab's namespaces are refused here ({found.mode}).",
        f"  refused   {found.refused}",
        f"  errno     {name} ({text})",
        f"  host says {said}",
        f"  remedy    {remedy(found, known)}",
        "Without them 'flycast-lab demo' shows a reduced walkthrough on loopback.",
    ]


def _what_works(found: Survey) -> list[str]:
    kept = [f"  lacking   {part}; 'up' and 'run' need --unsafe" for part in found.lacking]
    if not found.routing and not found.own_proc:
        works = f"The lab works here ({found.mode}): namespaces, veth, IPv6 forwarding and mounts are allowed."
        return [works, *kept]
    how = "in bridge mode" if found.routing else "without a /proc of its own"
    lines = [f"The lab works here ({found.mode}), {how}.", *kept]
    if found.routing:
        from lab.wire.bridged import DIFFERENCES  # noqa: PLC0415 - heavy, and seldom needed

        lines += [f"  refused   {found.routing}", *(f"  so        {difference}" for difference in DIFFERENCES)]
    if found.own_proc:
        shown = "ps shows the processes of the whole container on every Machine, and /sys is empty there"
        lines += [f"  refused   {found.own_proc}", f"  so        {shown}"]
    return [*lines, f"  remedy    start the container with {CONTAINER_OPTIONS}"]
