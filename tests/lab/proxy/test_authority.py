from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.proxy.authority import is_authority, split_absolute
from tests.lab.proxy.talk import Client, echo

if TYPE_CHECKING:
    from tests.lab.proxy.conftest import Place

GOOD = [
    "a", "private-svc.flycast", "PRIVATE-svc.Flycast:80", "a_b", "a.", "127.0.0.1", "127.0.0.1:8080", "a:", "a:0",
    "a:65535", "a:00080", "[::1]", "[::]:80", "[fdaa:0:18::3]", "[fdaa::3]:", "[::ffff:127.0.0.1]:1848", "%41bc",
    "caf%C3%A9", "a~b!c$d&e'f(g)h*i+j;k=l",
]  # fmt: skip
BAD = [
    ":80", "u@a", "u:p@other", "@a", "a@", "http://a", "a/", "a/b", "evil.com/.flycast", "a?b", "evil.com#.flycast",
    "a#", "a,b", "a, b", "a b", "a\tb", "a:b", "a:80:80", "a:-1", "a:+1", "a: 80", "a:65536", "a:000080", "a:8_0",
    "[::1", "::1", "::1]", "[::1]a", "[::1]80", "[::1]:b", "[[::1]]", "[]", "[a]", "[1.2.3.4]", "[v1.a]",
    "[::1%25eth0]", "[12345::]", "[:::]", "a[", "a]", "%", "%4", "%zz", "a\\b", "a|b", "a^b", "a`b", "<a>",
    '"a"', "{a}", "caf\xe9",
]  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_an_authority_is_a_name_or_an_address_and_perhaps_a_port(text: str) -> None:
    assert is_authority(text.encode())
    assert split_absolute(b"GET", f"http://{text}/x".encode()) == (text.encode(), b"/x")


@pytest.mark.parametrize("text", ["", *BAD])
def test_everything_else_is_no_authority(text: str) -> None:
    assert not is_authority(text.encode("latin-1"))


@pytest.mark.parametrize(
    ("method", "target", "asked"),
    [
        (b"GET", b"http://a", b"/"), (b"GET", b"http://a?q", b"/?q"), (b"GET", b"HTTPS://a/b?c=http://d", b"/b?c=http://d"),
        (b"OPTIONS", b"http://a", b"*"), (b"OPTIONS", b"http://a/", b"/"), (b"OPTIONS", b"http://a?q", b"/?q"),
        (b"GET", b"http://a/@b", b"/@b"),
    ],
)  # fmt: skip
def test_an_absolute_target_asks_its_server_for_what_follows_the_authority(
    method: bytes, target: bytes, asked: bytes
) -> None:
    assert split_absolute(method, target) == (b"a", asked)


@pytest.mark.parametrize(
    "target", [b"", b"a", b"a:80", b"ftp://a/", b"http:/a", b"http:a", b"http://", b"http:///x", b"http://?q",
               b"http://a#", b"http://a/#b", b"http://a?b#c", b"//a/b"],
)  # fmt: skip
def test_what_is_no_http_uri_with_a_host_is_none(target: bytes) -> None:
    assert split_absolute(b"GET", target) is None


async def test_a_request_for_no_server_is_400_however_it_says_so_and_never_reaches_the_machine(place: Place) -> None:
    machine = place.machine("m1", echo)
    port = await place.proxy(machine)
    for text in BAD:
        server = text.encode("latin-1")
        heads = [b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % server]
        if not {"/", "?"} & set(text):  # in a target, a path or a query begins there
            heads.append(b"GET http://%b/x HTTP/1.1\r\nHost: a\r\n\r\n" % server)
        for head in heads:
            client = await Client.to(port)
            client.send(head)
            assert (await client.all()).startswith(b"HTTP/1.1 400 "), head
            await client.close()
    assert machine.starts == 0


async def test_an_empty_host_field_is_what_a_client_sends_of_a_uri_without_one(place: Place) -> None:
    port = await place.proxy(place.machine("m1", echo))
    client = await Client.to(port)
    client.send(b"GET / HTTP/1.1\r\nHost: \r\n\r\n")
    assert (await client.answer()).body.startswith(b"GET / HTTP/1.1\r\nhost: \r\n")
    await client.close()
