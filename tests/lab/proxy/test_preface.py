from __future__ import annotations

import struct
from ipaddress import IPv6Address

import pytest

from lab.proxy.preface import preface

CLIENT, DIALLED = ("fdaa:0:18:a7b::2", 40000), ("fdaa:0:18:0:1::2", 1848)


def test_version_1_is_a_line_of_text() -> None:
    assert preface("v1", CLIENT, DIALLED) == b"PROXY TCP6 fdaa:0:18:a7b::2 fdaa:0:18:0:1::2 40000 1848\r\n"


def test_version_2_is_the_signature_then_stream_over_ipv6_and_36_bytes_of_addresses() -> None:
    addresses = IPv6Address(CLIENT[0]).packed + IPv6Address(DIALLED[0]).packed + struct.pack("!HH", 40000, 1848)
    assert preface("v2", CLIENT, DIALLED) == b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24" + addresses


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_addresses_of_two_families_are_refused(version: str) -> None:
    with pytest.raises(ValueError, match="expected two addresses of one family"):
        preface(version, ("192.0.2.1", 1), DIALLED)
