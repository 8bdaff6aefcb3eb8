from __future__ import annotations

import random

import dns.message
import pytest

from lab import nameserver
from lab.nameserver import NameServer
from tests.lab.scaling.names import lay_out


@pytest.mark.parametrize(
    ("name", "renderings"),
    [
        ("00000000000001.vm.shop.internal", 1),  # one address
        ("nobody.shop.internal", 1),  # none
        ("shop.internal", 16),  # as many orders as are kept
    ],
)
def test_only_several_addresses_are_kept_in_several_orders(
    name: str, renderings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered: list[bytes] = []
    respond = nameserver.respond

    def counted(wire: bytes, *arguments: object, **named: object) -> bytes | None:
        rendered.append(wire)
        return respond(wire, *arguments, **named)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(nameserver, "respond", counted)
    view = lay_out("machines", 10)
    server = NameServer(lambda: view, lambda *_, **__: None, random.Random(1))  # noqa: S311 - spreads load
    query = dns.message.make_query(name, "AAAA").to_wire()
    answers = {server._respond(query, "::1", over_tcp=False) for _ in range(1000)}  # noqa: SLF001 - as it is read
    assert len(rendered) == renderings
    assert len(answers) == renderings
