"""Where WebSocket frames end, as the lab's proxy finds it in what a Machine sends: the same however it is split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.proxy.websocket import FrameEnds
from tests.fuzz.target import Broken, pure

if TYPE_CHECKING:
    from collections.abc import Hashable


_LONGEST = 2048


def _check(data: bytes) -> Hashable:
    data = data[:_LONGEST]
    ends = _by_the_rfc(data)
    followed, at = FrameEnds(), 0
    found = []
    while at < len(data):
        taken = followed.take(data[at:], to_end_of_frame=True) or followed.take(data[at : at + 1])
        at += taken
        if followed.between:
            found.append(at)
        if len(found) > len(ends) or at > len(data):
            break
    if found != ends:
        raise Broken(f"frames end at {ends[:9]}, found were {found[:9]}")
    for size in (1, 2, 3, 7, 125):
        split = FrameEnds()
        for start in range(0, len(data), size):
            split.take(data[start : start + size])
        if split.between != (len(data) in {0, *ends}):
            raise Broken(f"split in pieces of {size}: between frames is {split.between}")
    return len(ends) > 1, bool(ends) and ends[-1] == len(data), max(data[1:2], default=0) & 127 > 125


def _by_the_rfc(data: bytes) -> list[int]:
    """Return where frames end: RFC 6455 section 5.2, read a second time."""
    ends, at = [], 0
    while at + 2 <= len(data):
        length, masked = data[at + 1] & 127, data[at + 1] & 128
        extended = 2 if length == 126 else 8 if length == 127 else 0  # the RFC's marks
        if at + 2 + extended > len(data):
            break
        if extended:
            length = int.from_bytes(data[at + 2 : at + 2 + extended])
        at += 2 + extended + (4 if masked else 0) + length
        if at <= len(data):
            ends.append(at)
    return ends


TARGET = pure("websocket", _check, 500)
