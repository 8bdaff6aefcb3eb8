"""PROXY prefaces: what is one, what is not yet one, and what never will be."""

from __future__ import annotations

import random
import struct
from contextlib import suppress
from ipaddress import ip_address

import pytest

from private_svc.preface import AT_MOST, V1_AT_MOST, V2_START, Preface, PrefaceError, read

FUZZ_ROUNDS = 20_000
LOCAL, PROXY = 0x20, 0x21
UNSPECIFIED, TCP4, TCP6, UNIX = 0x00, 0x11, 0x21, 0x31


def version_2(command: int, family: int, addresses: bytes, extensions: bytes = b"") -> bytes:
    rest = addresses + extensions
    return V2_START + struct.pack("!BBH", command, family, len(rest)) + rest


def pair(source: str, destination: str) -> bytes:
    return ip_address(source).packed + ip_address(destination).packed + struct.pack("!HH", 40000, 1848)


FLYCAST = Preface("fdaa:0:18::9", "fdaa:0:18:0:1::2")
PUBLIC = Preface("203.0.113.7", "66.241.125.1")
NOBODY = Preface()
PREFACES = {
    "v1 IPv4": (b"PROXY TCP4 203.0.113.7 66.241.125.1 40000 1848\r\n", PUBLIC),
    "v1 IPv6": (b"PROXY TCP6 fdaa:0:18::9 fdaa:0:18:0:1::2 0 65535\r\n", FLYCAST),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", NOBODY),
    "v1 unknown, with words": (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", NOBODY),
    "v1 longest": (b"PROXY UNKNOWN " + b"f" * (V1_AT_MOST - 16) + b"\r\n", NOBODY),
    "v2 IPv4": (version_2(PROXY, TCP4, pair("203.0.113.7", "66.241.125.1")), PUBLIC),
    "v2 IPv6": (version_2(PROXY, TCP6, pair("fdaa:0:18::9", "fdaa:0:18:0:1::2")), FLYCAST),
    "v2 extended": (version_2(PROXY, TCP4, pair("203.0.113.7", "66.241.125.1"), b"\x04\0\x05noops\xea\0\0"), PUBLIC),
    "v2 extension cut": (version_2(PROXY, TCP4, pair("203.0.113.7", "66.241.125.1"), b"\x04\xff\xffno"), PUBLIC),
    "v2 longest": (version_2(PROXY, TCP4, pair("203.0.113.7", "66.241.125.1"), bytes(AT_MOST - 16 - 12)), PUBLIC),
    "v2 local": (version_2(LOCAL, UNSPECIFIED, b""), NOBODY),
    "v2 local, with addresses": (version_2(LOCAL, TCP4, pair("203.0.113.7", "66.241.125.1")), NOBODY),
    "v2 unspecified": (version_2(PROXY, UNSPECIFIED, b"whatever"), NOBODY),
    "v2 unix": (version_2(PROXY, UNIX, b"/run/a".ljust(108, b"\0") * 2), NOBODY),
}
NO_PREFACES = {
    "another protocol": b"GET / HTTP/1.1\r\n",
    "lower case": b"proxy TCP4 ",
    "no family": b"PROXY \r\n",
    "another family": b"PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n",
    "unknown, misspelt": b"PROXY UNKNOWNS\r\n",
    "a name": b"PROXY TCP4 localhost 5.6.7.8 1 2\r\n",
    "an address too long": b"PROXY TCP4 1.2.3.4.5 5.6.7.8 1 2\r\n",
    "IPv6 as IPv4": b"PROXY TCP4 ::1 ::2 1 2\r\n",
    "IPv4 as IPv6": b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
    "a scope": b"PROXY TCP6 fdaa::1%eth0 fdaa::2 1 2\r\n",
    "a port too high": b"PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n",
    "a port below zero": b"PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n",
    "a port with a sign": b"PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
    "a port in Python's spelling": b"PROXY TCP4 1.2.3.4 5.6.7.8 1_0 2\r\n",
    "a port missing": b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
    "two spaces": b"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
    "more at the end": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
    "a line feed inside": b"PROXY UNKNOWN\nPROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
    "bytes that are no ASCII": b"PROXY TCP4 \xff\xfe 5.6.7.8 1 2\r\n",
    "a line of 108 bytes": b"PROXY UNKNOWN " + b"f" * (V1_AT_MOST - 15) + b"\r\n",
    "a line without end": b"PROXY UNKNOWN " + b"f" * 4096,
    "version 1 in binary": V2_START + b"\x11\x11\0\x0c" + bytes(12),
    "another command": V2_START + b"\x22\x11\0\x0c" + bytes(12),
    "no room for the addresses": V2_START + b"\x21\x11\0\x0b" + bytes(11),
    "a Unix socket in no ASCII": version_2(PROXY, UNIX, b"\xff" * 216),
    "64 KiB announced": V2_START + b"\x21\x11\xff\xff",
    "one byte too many announced": V2_START + b"\x21\x11" + struct.pack("!H", AT_MOST - 16 + 1),
}


@pytest.mark.parametrize("name", PREFACES)
@pytest.mark.parametrize("words", [b"", b"\n", b"are you there?\r\n", b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n"])
def test_a_preface_is_read_whatever_the_caller_says_behind_it(name: str, words: bytes) -> None:
    data, expected = PREFACES[name]
    assert read(data + words) == (expected, len(data))


@pytest.mark.parametrize("name", PREFACES)
def test_a_preface_that_is_cut_anywhere_is_not_one_yet(name: str) -> None:
    data, _ = PREFACES[name]
    assert [cut for cut in range(len(data)) if read(data[:cut]) is not None] == []


@pytest.mark.parametrize("name", NO_PREFACES)
def test_what_is_no_preface_is_refused_and_never_becomes_one(name: str) -> None:
    data = NO_PREFACES[name]
    for words in (b"", b"\r\n", bytes(2048)):
        with pytest.raises(PrefaceError):
            read(data + words)


def test_whatever_comes_is_a_preface_or_none_yet_or_refused() -> None:
    chance = random.Random(20261120)  # noqa: S311 - the same rounds every time
    samples = [data for data, _ in PREFACES.values()] + list(NO_PREFACES.values())
    for _ in range(FUZZ_ROUNDS):
        data = bytearray(chance.choice(samples))
        for _ in range(chance.randrange(4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        sent = bytes(data[: chance.randrange(len(data) + 1)] if chance.random() < 0.3 else data)
        with suppress(PrefaceError):
            found = read(sent)
            assert found is None or found[1] <= len(sent), sent
