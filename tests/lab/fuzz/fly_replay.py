"""`fly-replay`, which an app says, and the fields with which a client says where its request shall go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.proxy.errors import BadReplayError
from lab.proxy.heads import Fields
from lab.proxy.routing_fields import parse_replay, wish_of
from tests.fuzz.target import Broken, kind, pure

if TYPE_CHECKING:
    from collections.abc import Hashable

_LONGEST = 65536


def _check(data: bytes) -> Hashable:
    value = data[:_LONGEST].replace(b"\r", b"").replace(b"\n", b"").replace(b"\x00", b"")  # what a header cannot hold
    wish = wish_of(Fields([(b"fly-prefer-region", value), (b"fly-force-instance-id", value[:8])]))
    try:
        replay = parse_replay(value, "m1")
    except BadReplayError as error:
        if len(str(error)) > 400:  # it is a line of the log
            raise Broken(f"an error of {len(str(error))} characters") from error
        return kind(error)
    source = replay.source("m1", "ams", 1)
    if b"\r" in source or b"\n" in source:
        raise Broken(f"fly-replay-src with the end of a line: {source!r}")
    return bool(replay.app_name), bool(replay.wish.regions), bool(replay.wish.shunned), min(len(wish.regions), 3)


TARGET = pure("fly_replay", _check, 1500)
