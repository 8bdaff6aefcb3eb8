"""WireGuard peer files: whatever is in one, its flaws are told, in its lines, and no key is shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from shell.wireguard import content_flaws, mode_flaw, name_flaw, parse_peer_file
from tests.fuzz.target import Broken, pure

if TYPE_CHECKING:
    from collections.abc import Hashable

_LONGEST = 4096
_KEY = re.compile(r"[A-Za-z0-9+/]{32,}")


def _check(data: bytes) -> Hashable:
    text = data[:_LONGEST].decode("utf-8", "replace")
    name = re.sub(r"[/\x00]", "", text[:20]) + ".conf"
    file = parse_peer_file(text, name, len(data) & 0o777)
    flaws = [*content_flaws(file), *filter(None, (name_flaw(file), mode_flaw(file)))]
    for flaw in flaws:
        if not 0 <= flaw.line <= text.count("\n") + 1:
            raise Broken(f"line {flaw.line} of {text.count(chr(10)) + 1}")
        if _KEY.search(str(flaw)) or _KEY.search(flaw.fix):
            raise Broken(f"shows what may be a key: {flaw} - {flaw.fix}")
    return (
        bool(file.network),
        len(file.unread) > 0,
        frozenset(re.sub(r"[^A-Za-z ]", "", flaw.fix)[:20] for flaw in flaws),
    )


TARGET = pure("peer_file", _check, 300)
