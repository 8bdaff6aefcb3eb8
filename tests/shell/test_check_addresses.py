from __future__ import annotations

import json
from typing import Any

import pytest

from shell.check.addresses import MAX_BYTES, addresses_in, judge_addresses
from shell.errors import UsageError

PRIVATE = {"ID": "ip_1", "Address": "fdaa:0:18:0:1::2", "Type": "private_v6", "Region": "global", "Network": "default"}


def row(kind: str, address: str = "2a09:8280:1::1") -> dict[str, Any]:
    return {**PRIVATE, "Address": address, "Type": kind}


def judged(*rows: Any) -> list[tuple[str, str]]:
    return [(it.rule.id, it.fix) for it in judge_addresses(addresses_in(json.dumps(rows).encode()), "shop")]


def test_private_addresses_alone_are_well() -> None:
    assert judged(PRIVATE) == []
    assert judged(PRIVATE, {**PRIVATE, "Address": "fdaa:0:18:0:1::3"}) == []
    assert judged({key.lower(): value for key, value in PRIVATE.items()}) == []


@pytest.mark.parametrize("kind", ["v4", "v6", "shared_v4"])
def test_a_public_address_is_named_with_the_command_that_releases_it(kind: str) -> None:
    assert judged(PRIVATE, row(kind)) == [("public-address", "fly ips release 2a09:8280:1::1 -a shop")]


@pytest.mark.parametrize("kind", ["", "private_v4", "PRIVATE_V6", "private_v6 ", "anycast", "v7"])
def test_an_unknown_type_is_not_private(kind: str) -> None:
    assert judged(PRIVATE, row(kind)) == [("not-private", "fly ips release 2a09:8280:1::1 -a shop")]


@pytest.mark.parametrize("kind", ["egress_v4", "egress_v6"])
def test_an_address_to_go_out_by_is_no_way_in_and_stays(kind: str) -> None:
    assert judged(PRIVATE, row(kind, "192.0.2.7")) == []


@pytest.mark.parametrize("content", [b"[]", b"null", b" [ ] \n"])
def test_no_address_at_all_says_how_to_get_one(content: bytes) -> None:
    (finding,) = judge_addresses(addresses_in(content), "shop")
    assert (finding.rule.id, finding.fix) == ("no-private-address", "fly ips allocate-v6 --private -a shop")


def test_only_a_public_address_is_two_findings() -> None:
    assert [rule for rule, _ in judged(row("v6"))] == ["public-address", "no-private-address"]


@pytest.mark.parametrize("address", ["2a09:8280:1::1", "fd00::1", "10.0.0.1", "", "fdaa", "fdaa::1%eth0/8", "x" * 999])
def test_a_private_address_lies_in_the_private_network(address: str) -> None:
    assert [rule for rule, _ in judged(row("private_v6", address))] == ["strange-address"]


def test_a_command_is_safe_to_paste_whatever_came() -> None:
    assert judged(PRIVATE, row("v4", "1.2.3.4; rm -rf /")) == [
        ("public-address", "fly ips release '1.2.3.4; rm -rf /' -a shop")
    ]
    for name in ("", "$(reboot)", "Shop", "shop\n"):
        (finding,) = judge_addresses((), name)
        assert finding.fix == "fly ips allocate-v6 --private -a APP"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no JSON: Expecting value"),
        (b"NAME TYPE\nv6 ...", "no JSON"),
        (b'[{"Address": "fdaa::1", "Type": "private_v6"', "no JSON"),
        (b"\xff\xfe[", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[" + b"9" * 5000 + b"]", "no JSON|got a number as entry 0"),
        (b"{}", "got an object"),
        (b'"private_v6"', "got a string"),
        (b"true", "got a boolean"),
        (b"7", "got a number"),
        (b"[null]", "got null as entry 0"),
        (b'[["fdaa::1"]]', "got an array as entry 0"),
        (b"[{}]", "entry 0 without one of them as text"),
        (b'[{"Address": "fdaa::1", "Type": null}]', "entry 0 without one of them"),
        (b'[{"Address": 7, "Type": "private_v6"}]', "entry 0 without one of them"),
        (b" " * (MAX_BYTES + 1), "got more than 1048576 bytes"),
    ],
)
def test_what_is_no_list_of_addresses_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        addresses_in(content)
    assert str(refused.value).startswith("--ips: expected the output of `fly ips list --json`")
    assert len(str(refused.value)) < 300
