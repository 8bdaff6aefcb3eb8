"""Responses to the probe: read, or refused in words, and the same however they are split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shell.http_reply import Reply, ReplyError, read_reply
from shell.wake.proof import read_server_timing
from tests.fuzz.target import Broken, kind, pure

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_KEPT = 512


def _check(data: bytes) -> Hashable:
    whole = _outcome(data, len(data) or 1)
    if isinstance(whole, Reply):
        if not 200 <= whole.status <= 999 or whole.body_bytes > len(data) or len(whole.body) > _KEPT:
            raise Broken(f"what cannot be: status {whole.status}, {whole.body_bytes} bytes of body from {len(data)}")
        read_server_timing(whole.header("Server-Timing"))
    if len(data) < 4096 and (slowly := _outcome(data, 1)) != whole:  # a byte at a time takes long
        raise Broken(f"split: all at once {whole!r}, byte by byte {slowly!r}")
    return whole if isinstance(whole, str) else (whole.status // 100, bool(whole.body), whole.closes)


def _outcome(data: bytes, most: int) -> Reply | str:
    try:
        return read_reply(_pieces(data, most), _KEPT)
    except ReplyError as error:
        if len(str(error)) > 200:  # it fits on a screen
            raise Broken(f"an error of {len(str(error))} characters") from error
        return kind(error)


def _pieces(data: bytes, most: int) -> Callable[[int], bytes]:
    at = 0

    def receive(size: int) -> bytes:
        nonlocal at
        piece = data[at : at + min(size, most)]
        at += len(piece)
        return piece

    return receive


TARGET = pure("http_reply", _check, 750)
