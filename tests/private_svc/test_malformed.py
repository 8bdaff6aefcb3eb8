"""What is no proper request, and what is an odd one: each has one answer, and framing in doubt ends the connection."""

from __future__ import annotations

import pytest

from tests.private_svc.making import FLY
from tests.private_svc.site import PROXY, Answer, site, until

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /api/sleep HTTP/1.1\r\nHost: x\r\n"
GET = b"GET /healthz HTTP/1.1\r\n"
MALFORMED = {
    "64 KiB of a header": GET + b"Host: x\r\nX: " + b"x" * 65536 + b"\r\n\r\n",
    "64 KiB of headers": GET
    + b"Host: x\r\n"
    + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 512) for n in range(128))
    + b"\r\n",
    "a thousand headers": GET + b"Host: x\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(1000)) + b"\r\n",
    "64 KiB of a target": b"GET /" + b"x" * 65536 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a bad method": b"G<T / HTTP/1.1\r\nHost: x\r\n\r\n",
    "an unknown method": b"FROBNICATE / HTTP/1.1\r\nHost: x\r\n\r\n",
    "no Host": GET + b"\r\n",
    "two Hosts": GET + b"Host: x\r\nHost: evil.example\r\n\r\n",
    "a space before the colon": GET + b"Host : x\r\n\r\n",
    "a folded header": GET + b"Host: x\r\nX: a\r\n b\r\n\r\n",
    "a bare carriage return": GET + b"Host: x\rX: y\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: x\n\n",
    "a NUL in a header": GET + b"Host: x\r\nX: a\0b\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    "a PROXY line": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + GET + b"Host: x\r\n\r\n",
    "Content-Length and chunked": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked and Content-Length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "two Content-Lengths": POST + b"Content-Length: 0\r\nContent-Length: 36\r\n\r\n" + SMUGGLED,
    "a list of Content-Lengths": POST + b"Content-Length: 0, 0\r\n\r\n" + SMUGGLED,
    "Content-Length +0": POST + b"Content-Length: +0\r\n\r\n" + SMUGGLED,
    "Content-Length -1": POST + b"Content-Length: -1\r\n\r\n" + SMUGGLED,
    "Content-Length 0x0": POST + b"Content-Length: 0x0\r\n\r\n" + SMUGGLED,
    "Content-Length beyond 64 bits": POST + b"Content-Length: 99999999999999999999\r\n\r\n" + SMUGGLED,
    "chunked, misspelt": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked, not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "gzip and not chunked": POST + b"Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a chunk without a size": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + SMUGGLED,
    "a chunk longer than it says": POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcdefg\r\n0\r\n\r\n" + SMUGGLED,
    "a chunk of negative size": POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" + SMUGGLED,
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_what_is_malformed_gets_400_and_its_connection_is_closed(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with site() as here:
        received = await here.send(MALFORMED[name])
        here.writers[-1].close()
        await until(lambda: not here.activity.visits)
    answer = Answer(received)
    assert answer.status == 400
    assert [status for _, status in here.activity.answers.elements()] == [400], "it is counted, once"
    assert received.count(b"HTTP/1.") == 1, "nothing behind it is answered"
    assert answer.headers["x-machine-id"] == FLY["FLY_MACHINE_ID"]
    assert answer.headers["server"] == "private-svc"
    assert answer.headers["content-type"].startswith("text/plain")
    assert len(answer.text) < 100, "what came is not echoed"
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize("name", MALFORMED)
async def test_what_is_malformed_ends_a_connection_that_was_in_good_order_too(name: str) -> None:
    async with site() as here:
        reader, writer = await here.open()
        writer.write(GET + b"Host: x\r\n\r\n")
        assert (await reader.readuntil(b"ok\n")).startswith(b"HTTP/1.1 200 ")
        writer.write(MALFORMED[name])
        assert Answer(await reader.read()).status == 400


async def test_http_1_0_needs_no_host_and_is_closed_unless_it_asks_to_stay() -> None:
    async with site() as here:
        answer = Answer(await here.send(b"GET /healthz HTTP/1.0\r\n\r\n"))
        assert (answer.status, answer.text) == (200, "ok\n")
        stays, ends = b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", b"GET /healthz HTTP/1.0\r\n\r\n"
        assert (await here.send(stays + ends)).count(b"HTTP/1.0 200 OK") == 2


async def test_chunks_over_http_1_0_end_the_connection() -> None:
    sent = b"POST /api/sleep HTTP/1.0\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n"
    async with site() as here:
        assert Answer(await here.send(sent + b"GET /healthz HTTP/1.0\r\n\r\n")).status in {400, 403}


async def test_a_body_on_a_get_is_read_and_thrown_away() -> None:
    async with site() as here:
        body = b"Host: x\r\nContent-Length: 5\r\n\r\nhello"
        received = await here.send(GET + body + GET + b"Host: x\r\nConnection: close\r\n\r\n")
    assert received.count(b"HTTP/1.1 200 OK") == 2


async def test_who_expects_100_continue_gets_it_and_whoever_expects_more_gets_417() -> None:
    async with site() as here:
        head = POST + b"Content-Length: 2\r\nConnection: close\r\nExpect: "
        assert (await here.send(head + b"100-continue\r\n\r\n{}")).startswith(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 "
        )
        assert Answer(await here.send(head + b"a-miracle\r\n\r\n{}")).status == 417


@pytest.mark.parametrize(
    "named", ["Fly_Client_IP", "FLY-CLIENT_IP", "Fly-Client-IP-", "X-Fly-Client-IP", "Fly-Client-I"]
)
async def test_a_header_whose_name_only_looks_like_flys_is_another_header(named: str) -> None:
    async with site(PROXY) as here:
        answer = await here.ask("/whoami", "Accept: application/json", f"{named}: 203.0.113.7")
    assert '"ingress": "platform"' in answer.text


@pytest.mark.parametrize("clients", [("fdaa::1", "fdaa::1"), ("fdaa::1", "203.0.113.7"), ("203.0.113.7", "fdaa::1")])
async def test_two_client_addresses_are_one_too_many_to_be_private(clients: tuple[str, str]) -> None:
    async with site(PROXY) as here:
        assert (await here.ask("/", *(f"Fly-Client-IP: {client}" for client in clients))).status == 403
        assert (await here.ask("/", f"fly-client-ip: {', '.join(clients)}")).status == 403


@pytest.mark.parametrize("target", ["*", "http://x", "http://x/", "http://x?a", "http://X:8080/whoami"])
async def test_every_form_of_target_is_answered(target: str) -> None:
    async with site() as here:
        assert (await here.ask(target, method="OPTIONS")).status in {200, 404, 405}


@pytest.mark.parametrize("target", ["a.example:80", "a.flycast:80"])
async def test_it_is_nobody_s_tunnel(target: str) -> None:
    async with site() as here:
        assert (await here.ask(target, method="CONNECT")).status in {404, 405, 421}
