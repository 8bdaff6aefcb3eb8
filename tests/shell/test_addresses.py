from __future__ import annotations

import pytest

from shell.addresses import Address, AddressKind, take_apart

K = AddressKind


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            "fdaa:0:18:a7b:7d:f066:b83b:2",
            Address("fdaa:0:18:a7b:7d:f066:b83b:2", K.SIX_PN, "fdaa:0:18::/48", "a7b:7d", "f066:b83b"),
        ),
        ("fdaa:3:9018:0:1::7", Address("fdaa:3:9018:0:1::7", K.FLYCAST, "fdaa:3:9018::/48")),
        ("fdaa:0:18::3", Address("fdaa:0:18::3", K.NAMESERVER, "fdaa:0:18::/48")),
        ("fdaa::3", Address("fdaa::3", K.NAMESERVER)),
        ("::1", Address("::1", K.LOOPBACK)),
        ("::ffff:127.0.0.1", Address("::ffff:127.0.0.1", K.LOOPBACK)),
        ("::ffff:10.0.0.1", Address("::ffff:10.0.0.1", K.OTHER)),
        ("2a09:8280:1::1", Address("2a09:8280:1::1", K.OTHER)),
    ],
)
def test_an_address_is_taken_apart(text: str, parts: Address) -> None:
    assert take_apart(text) == parts


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match="fdaa:x"):
        take_apart("fdaa:x")
