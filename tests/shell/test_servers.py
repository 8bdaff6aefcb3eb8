from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shell.errors import UsageError
from shell.servers import FLY_NAMESERVER, Server, choose_servers, parse_server, servers_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("fdaa::3", Server("fdaa::3", 53)),
        ("[fdaa::3]", Server("fdaa::3", 53)),
        ("[::1]:5353", Server("::1", 5353)),
        ("127.0.0.1", Server("127.0.0.1", 53)),
        ("127.0.0.1:5353", Server("127.0.0.1", 5353)),
    ],
)
def test_a_server_is_read_and_written_back(text: str, server: Server) -> None:
    assert parse_server(text) == server
    assert parse_server(str(server)) == server


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:x",
        "[::1",
        "[::1]x",
        "[::1]5353",
        "[]:53",
        "::1]:53",
        f"127.0.0.1:{chr(0x661)}",
    ],
)
def test_what_is_no_server_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="--dns: expected ADDR"):
        parse_server(text)


def test_resolv_conf_is_read_as_the_system_reads_it() -> None:
    text = "# c\nsearch x\nnameserver fdaa::3\nnameserver\nnameserver no\n nameserver 10.0.0.1 # c\n"
    assert servers_of(text) == (Server("fdaa::3"), Server("10.0.0.1"))
    assert len(servers_of("nameserver ::1\n" * 9)) == 3


def test_without_a_nameserver_anywhere_it_is_flys(tmp_path: Path) -> None:
    assert choose_servers(None, tmp_path / "none") == (FLY_NAMESERVER,)
    (tmp_path / "resolv.conf").write_text("search x\n", encoding="utf-8")
    assert choose_servers(None, tmp_path / "resolv.conf") == (FLY_NAMESERVER,)
    assert choose_servers("::1", tmp_path / "resolv.conf") == (Server("::1"),)
