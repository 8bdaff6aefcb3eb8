"""The PROXY preface that the service reads on its hello port.

- The specification's second reading is ours, from its text: version 1 by words, version 2 by bytes.
- However the bytes are split, the same comes of them; 1024 of them are enough to tell.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from private_svc.preface import AT_MOST, PrefaceError, read
from tests.fuzz.target import Broken, kind, pure

if TYPE_CHECKING:
    from collections.abc import Hashable

    from private_svc.preface import Preface

_LAST_PORT = 65535
_VERSION_2, _FAMILIES = 2, {1: 12, 2: 36}


def _check(data: bytes) -> Hashable:
    outcome = _outcome(data)
    if outcome is None and len(data) >= AT_MOST:
        raise Broken(f"more is wanted after {len(data)} bytes")
    for end in range(min(len(data), 160)):
        earlier = _outcome(data[:end])
        if earlier is not None and earlier != outcome and not (isinstance(earlier, str) and isinstance(outcome, str)):
            raise Broken(f"split: after {end} bytes {earlier!r}, after all {outcome!r}")
    if isinstance(outcome, tuple):
        _same_as_by_the_words(data, *outcome)
        return bool(outcome[0].source), data[:6] == b"PROXY ", data[13:14]
    return outcome


def _outcome(data: bytes) -> tuple[Preface, int] | str | None:
    try:
        return read(data)
    except PrefaceError as error:
        return kind(error)


def _same_as_by_the_words(data: bytes, preface: Preface, size: int) -> None:
    length = data.index(b"\r\n") + 2 if data.startswith(b"PROXY") else 16 + int.from_bytes(data[14:16])
    if size != length:
        raise Broken(f"another reading of the specification: expected {length} bytes, got {size}")
    expected = _version_1(data) if data.startswith(b"PROXY") else _version_2(data)
    got = tuple(str(ip_address(text)) if text else "" for text in (preface.source, preface.destination))
    if got != expected:
        raise Broken(f"another reading of the specification: expected {expected}, got {got}")


def _version_1(data: bytes) -> tuple[str, ...]:
    words = data[: data.index(b"\r\n")].decode("latin-1").split(" ")
    if words[1].startswith("UNKNOWN"):
        return "", ""
    _, family, source, target, source_port, target_port = words
    ends = tuple(map(ip_address, (source, target)))
    if {end.version for end in ends} != {int(family[-1])} or max(int(source_port), int(target_port)) > _LAST_PORT:
        raise Broken(f"not of its family or no port, and read all the same: {words}")
    return tuple(map(str, ends))


def _version_2(data: bytes) -> tuple[str, ...]:
    version, command, family = data[12] >> 4, data[12] & 15, data[13]
    length = int.from_bytes(data[14:16])
    if version != _VERSION_2 or command > 1:
        raise Broken(f"version {version} and command {command}, and read all the same")
    if command == 0 or family >> 4 not in {1, 2}:
        return "", ""
    if length < _FAMILIES[family >> 4]:
        raise Broken(f"{length} bytes are too few for family {family:#x}, and read all the same")
    size = 4 if family >> 4 == 1 else 16
    return tuple(str(ip_address(data[at : at + size])) for at in (16, 16 + size))


TARGET = pure("preface", _check, 600)
