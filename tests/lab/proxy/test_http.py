"""The http handler, with raw clients and raw apps: what goes through, what is refused, what is sent again."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from lab.proxy.exchange import HttpLimits
from lab.proxy.upstream import POOL_SECONDS
from lab.states import MachineState
from shell.flytoml import Concurrency
from tests.lab.proxy.talk import Client, echo, get, read_request, reset, says
from tests.lab.proxy.test_wake import until

if TYPE_CHECKING:
    from tests.lab.proxy.conftest import Place
    from tests.lab.proxy.fake_machine import Serve

HEAD = b"GET /path?q=1 HTTP/1.1\r\nHost: shop.flycast\r\nX-Mine: yes\r\n\r\n"


async def started(place: Place, serve: Serve, **options: object) -> int:
    machine = place.machine("m1", serve)
    await machine.start()
    return await place.proxy(machine, **options)  # type: ignore[arg-type]  # the fixture's own options


async def test_the_machine_sees_fly_s_headers_and_not_the_client_s_forgeries(place: Place) -> None:
    port = await started(place, echo)
    forged = (
        "Fly-Client-IP: 6.6.6.6\r\nX-Forwarded-For: 6.6.6.6\r\nFly-Region: xxx\r\nX-Forwarded-Proto: https\r\n"
        "Fly-Request-Id: mine\r\nX-Request-Start: t=1\r\nVia: 1.1 before\r\nfly-client-ip: 7.7.7.7\r\n"
    )
    answer = await get(port, extra=forged)
    seen = fields_of(answer.body)
    assert seen["fly-client-ip"] == "127.0.0.1"
    assert answer.body.lower().count(b"fly-client-ip") == 1
    assert seen["x-forwarded-for"] == "6.6.6.6, 127.0.0.1, 127.0.0.1"
    assert seen["fly-region"] == "ams"
    assert seen["via"] == "1.1 before, 1.1 fly.io"
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{26}-ams", seen["fly-request-id"])
    assert re.fullmatch(r"t=\d{16}", seen["x-request-start"])
    for name in ("x-forwarded-proto", "fly-forwarded-proto"):
        assert seen[name] == "http"
    for name in ("x-forwarded-port", "fly-forwarded-port"):
        assert seen[name] == str(port)
    for name in ("x-forwarded-ssl", "fly-forwarded-ssl"):
        assert seen[name] == "off"
    assert answer.headers["fly-request-id"] == seen["fly-request-id"]
    assert answer.headers["via"] == "1.1 fly.io"
    assert answer.headers["server"].startswith("Fly/lab (")


async def test_no_spelling_of_a_field_that_the_proxy_sets_reaches_a_server_that_reads_underscores_as_hyphens(
    place: Place,
) -> None:
    names = ["fly-client-ip", "x-forwarded-for", "x-forwarded-proto", "via", "fly-replay-src", "x-request-start",
             "content-length", "transfer-encoding", "connection", "keep-alive", "x-named"]  # fmt: skip
    port = await started(place, echo)
    honest = as_wsgi((await get(port, extra="Connection: X-Named\r\n")).body)
    assert honest["HTTP_FLY_CLIENT_IP"] == "127.0.0.1"
    for spelt in (lambda name: name.replace("-", "_"), lambda name: name.replace("-", "_", 1), str.upper):
        forged = "".join(f"{spelt(name)}: forged\r\n" for name in names if "_" in spelt(name))
        seen = as_wsgi((await get(port, extra=f"Connection: X-Named\r\nMy_Own: 1\r\n{forged}")).body)
        assert seen.pop("HTTP_MY_OWN") == "1"
        assert "forged" not in str(seen)
        assert seen.keys() == honest.keys()


def as_wsgi(request: bytes) -> dict[str, str]:
    """Return the fields of a request as PEP 3333 has them, after the CGI of RFC 3875: `-` becomes `_`."""
    environ: dict[str, str] = {}
    for line in request.split(b"\r\n\r\n")[0].decode().split("\r\n")[1:]:
        name, _, value = line.partition(":")
        key = f"HTTP_{name.upper().replace('-', '_')}"
        environ[key] = f"{environ[key]},{value.strip()}" if key in environ else value.strip()
    return environ


def fields_of(request: bytes) -> dict[str, str]:
    lines = request.split(b"\r\n\r\n")[0].decode().split("\r\n")
    return {n.lower(): v for n, v in (re.split(r":\s*", line, maxsplit=1) for line in lines[1:])}


async def test_one_hop_fields_and_what_connection_names_stop_at_the_proxy(place: Place) -> None:
    port = await started(place, echo)
    extra = "Connection: keep-alive, X-Drop, Host\r\nX-Drop: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nX-Stay: 2\r\n"
    body = (await get(port, extra=extra)).body.lower()
    assert b"x-drop" not in body
    assert b"keep-alive" not in body
    assert b"te:" not in body
    assert b"x-stay: 2" in body
    assert b"host: shop.flycast" in body


async def test_a_head_split_at_every_byte_is_the_same_request(place: Place) -> None:
    port = await started(place, echo)
    client = await Client.to(port)
    bodies = set()
    for cut in range(1, len(HEAD)):
        client.send(HEAD[:cut])
        await client.writer.drain()
        await asyncio.sleep(0)
        client.send(HEAD[cut:])
        answer = await client.answer()
        assert answer.status == 200, f"split after {cut} bytes"
        bodies.add(re.sub(rb"(fly-request-id|x-request-start): [^\r]*", b"", answer.body.lower()))
    assert len(bodies) == 1
    await client.close()


async def test_a_head_sent_byte_by_byte_is_a_request(place: Place) -> None:
    port = await started(place, echo)
    client = await Client.to(port)
    for at in range(len(HEAD)):
        client.send(HEAD[at : at + 1])
        await asyncio.sleep(0)
    assert (await client.answer()).status == 200
    await client.close()


SMUGGLES = {
    "both lengths": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "list length": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 1\r\n\r\na",
    "signed length": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\na",
    "hex length": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x1\r\n\r\na",
    "empty length": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: \r\n\r\n",
    "underscored length": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1_0\r\n\r\na",
    "folded": b"GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n",
    "folded first": b"GET / HTTP/1.1\r\n Host: h\r\n\r\n",
    "bare LF": b"GET / HTTP/1.1\nHost: h\n\n",
    "one bare LF": b"GET / HTTP/1.1\r\nHost: h\nX: a\r\n\r\n",
    "bare CR": b"GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n",
    "NUL": b"GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length : 5\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nHost: h\r\nnonsense\r\n\r\n",
    "empty name": b"GET / HTTP/1.1\r\nHost: h\r\n: a\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "host with a space": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
    "space in target": b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
    "no version": b"GET /\r\nHost: h\r\n\r\n",
    "lower version": b"GET / http/1.1\r\nHost: h\r\n\r\n",
    "relative target": b"GET path HTTP/1.1\r\nHost: h\r\n\r\n",
    "chunked in 1.0": b"POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad chunk size": b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "negative chunk": b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    "prefixed chunk": b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
    "chunk ended by LF": b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
    "chunk too long": b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    **{
        name: b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + trailers
        for name, trailers in {
            "bad trailer": b"bad\r\n\r\n",
            "bad trailer, and no more": b"X: a\r\nbad\r\n",
            "trailer ended by LF": b"X: a\n",
            "second trailer ended by LF": b"X: a\r\nY: b\n\r\n",
            "trailers ended by LF": b"X: a\r\n\n",
            "folded trailer": b"X: a\r\n b\r\n",
            "bare CR in a trailer": b"X: a\rb\r\n",
            "trailer without end": b"X: " + b"a" * 17_000,
            "trailers without end": b"X: a\r\n" * 3_000,
        }.items()
    },
}


@pytest.mark.parametrize("name", SMUGGLES)
async def test_a_message_two_servers_could_read_differently_is_400_and_never_reaches_the_machine(
    place: Place, name: str
) -> None:
    reached = []

    async def app(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(await reader.readuntil(b"\r\n\r\n"))
        del writer

    port = await started(place, app)
    client = await Client.to(port)
    client.send(SMUGGLES[name])
    response = await client.all()
    assert response.startswith(b"HTTP/1.1 400 "), response
    assert response.count(b"HTTP/1.1") == 1
    assert b"connection: close" in response.lower()
    assert not reached, reached
    await client.close()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 70000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 70000, 431),
    ],
)
async def test_what_is_not_spoken_has_its_own_status(place: Place, request_bytes: bytes, status: int) -> None:
    port = await started(place, echo)
    client = await Client.to(port)
    client.send(request_bytes)
    assert (await client.all()).startswith(b"HTTP/1.1 %d " % status)
    await client.close()


async def test_an_absolute_target_becomes_a_path_and_its_host(place: Place) -> None:
    port = await started(place, echo)
    client = await Client.to(port)
    client.send(b"GET http://real.flycast/x?y HTTP/1.1\r\nHost: forged\r\n\r\n")
    body = (await client.answer()).body
    assert body.startswith(b"GET /x?y HTTP/1.1\r\nhost: real.flycast\r\n")
    assert b"forged" not in body
    await client.close()


async def test_pipelined_requests_are_answered_in_order(place: Place) -> None:
    port = await started(place, echo)
    client = await Client.to(port)
    count = 20
    client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number for number in range(count)))
    for number in range(count):
        assert (await client.answer()).body.startswith(b"GET /%d " % number)
    await client.close()


async def test_a_chunked_request_split_at_every_byte_arrives_whole_and_without_its_trailers(place: Place) -> None:
    port = await started(place, echo)
    head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b'3;ext="x"\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Sum: 9\r\nFly-Client-IP: 6.6.6.6\r\n\r\n'
    client = await Client.to(port)
    for cut in range(len(chunks)):
        client.send(head + chunks[:cut])
        await client.writer.drain()
        await asyncio.sleep(0)
        client.send(chunks[cut:])
        answer = await client.answer()
        assert answer.body.endswith(b"\r\n\r\nabc0123456789"), f"split after {cut}: {answer.body!r}"
    await client.close()


async def test_trailers_never_reach_the_machine_that_might_take_them_for_headers_of_the_next_request(
    place: Place,
) -> None:
    stream = bytearray()

    async def keeps_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            stream.extend(data)
            if stream.endswith((b"0\r\n\r\n", b"\r\n\r\n")):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    port = await started(place, keeps_all)
    client = await Client.to(port)
    forged = b"".join(b"%b: forged\r\n" % name for name in (b"Fly-Client-IP", b"Content-Length", b"Host", b"Trailer"))
    client.send(
        b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: fly-client-ip\r\n\r\n"
        b"1\r\na\r\n0\r\n" + forged + b"\r\n"
    )
    assert (await client.answer()).status == 200
    client.send(HEAD)
    assert (await client.answer()).status == 200
    assert place.machines[0].dials == 1
    assert b"forged" not in stream
    assert b"trailer" not in stream.lower()
    await client.close()


async def test_a_bad_trailer_that_comes_late_is_told_at_once(place: Place) -> None:
    port = await started(place, echo)
    client = await Client.to(port)
    client.send(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n")
    await until(lambda: place.proxies[0].load("m1") == 1)
    client.send(b"X: a\n")
    assert (await client.all()).startswith(b"HTTP/1.1 400 ")
    await client.close()


async def test_a_chunked_response_with_trailers_stays_chunked_and_loses_them(place: Place) -> None:
    response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n"
    port = await started(place, says(response))
    answer = await get(port)
    assert answer.body == b"abcde"


async def test_an_http_1_0_client_gets_a_chunked_response_without_chunks(place: Place) -> None:
    response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    port = await started(place, says(response))
    client = await Client.to(port)
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    whole = await client.all()
    assert whole.endswith(b"\r\n\r\nabcde")
    assert b"chunked" not in whole
    await client.close()


async def test_a_response_without_length_becomes_chunked(place: Place) -> None:
    port = await started(place, says(b"HTTP/1.1 200 OK\r\n\r\nabc", then_close=True))
    client = await Client.to(port)
    client.send(HEAD)
    assert (await client.answer()).body == b"abc"
    await client.close()


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_body_has_none(place: Place, status: int) -> None:
    response = b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\n" % status
    port = await started(place, says(response))
    client = await Client.to(port)
    client.send(HEAD + HEAD)
    heads = [await client.head(), await client.head()]
    assert all(head.startswith(b"HTTP/1.1 %d " % status) for head in heads)
    assert (b"content-length" in heads[0].lower()) == (status == 304)
    await client.close()


async def test_head_has_the_length_and_no_body(place: Place) -> None:
    port = await started(place, echo)
    client = await Client.to(port)
    client.send(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n" + HEAD)
    assert b"content-length: " in (await client.head()).lower()
    assert (await client.answer()).status == 200
    await client.close()


async def test_one_mebibyte_streams_both_ways(place: Place) -> None:
    blob = bytes(range(256)) * 4096

    async def mirror(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            _, body = await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()

    port = await started(place, mirror)
    for framing in ("sized", "chunked"):
        client = await Client.to(port)
        if framing == "sized":
            client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(blob) + blob)
        else:
            client.send(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
            for at in range(0, len(blob), 10_000):
                piece = blob[at : at + 10_000]
                client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            client.send(b"0\r\n\r\n")
        answer = await client.answer()
        assert hashlib.sha256(answer.body).digest() == hashlib.sha256(blob).digest(), framing
        await client.close()


async def test_what_arrives_while_the_client_is_slow_is_neither_lost_nor_waited_for(place: Place) -> None:
    blob = bytes(range(256)) * 3000

    async def all_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (await read_request(reader))[0]:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(blob) + blob)
            await writer.drain()

    port = await started(place, all_at_once)
    client = await Client.to(port)
    for _ in range(20):
        client.send(HEAD)
        assert (await client.answer()).body == blob
    await client.close()


async def test_a_chunk_size_in_two_pieces_keeps_nobody_else_waiting(place: Place) -> None:
    port = await started(place, echo)
    client = await Client.to(port)
    client.send(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5")
    assert (await get(port)).status == 200
    client.send(b"\r\nhello\r\n0\r\n\r\n")
    assert (await client.answer()).status == 200
    await client.close()


async def test_a_response_streams_as_it_comes(place: Place) -> None:
    second = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none")
        await second.wait()
        writer.write(b"two")
        await writer.drain()

    port = await started(place, slow)
    client = await Client.to(port)
    client.send(HEAD)
    await client.head()
    assert await client.exactly(3) == b"one"
    second.set()
    assert await client.exactly(3) == b"two"
    await client.close()


async def test_expect_100_continue_is_asked_of_the_machine(place: Place) -> None:
    async def careful(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"expect: 100-continue" in head.lower()
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(4)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + body)
        await writer.drain()

    port = await started(place, careful)
    client = await Client.to(port)
    client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    assert (await client.head()).startswith(b"HTTP/1.1 100 Continue\r\n")
    client.send(b"body")
    assert (await client.answer()).body == b"body"
    await client.close()


async def test_a_machine_that_refuses_a_body_early_is_heard(place: Place) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
        await writer.drain()

    port = await started(place, refuse)
    client = await Client.to(port)
    client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\npart")
    whole = await client.all()
    assert whole.startswith(b"HTTP/1.1 413 ")
    assert whole.endswith(b"\r\n\r\nbig")
    assert b"connection: close" in whole.lower()
    await client.close()


async def test_an_upgrade_carries_bytes_both_ways_and_holds_load(place: Place) -> None:
    async def socket_app(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert b"connection: upgrade\r\nupgrade: websocket" in head
        writer.write(b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst")
        while data := await reader.read(1000):
            writer.write(data.upper())
        writer.write(b"bye")
        await writer.drain()

    port = await started(place, socket_app)
    client = await Client.to(port)
    client.send(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly")
    assert b"101" in await client.head()
    assert await client.exactly(10) == b"firstEARLY"
    assert place.proxies[0].load("m1") == 1
    client.writer.write_eof()
    assert await client.all() == b"bye"
    await until(lambda: place.proxies[0].load("m1") == 0)
    await client.close()


async def test_101_without_being_asked_is_502(place: Place) -> None:
    response = b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
    port = await started(place, says(response))
    assert (await get(port)).status == 502


async def test_a_half_closed_client_gets_its_answer(place: Place) -> None:
    port = await started(place, echo)
    client = await Client.to(port)
    client.send(HEAD)
    client.writer.write_eof()
    assert (await client.answer()).status == 200
    assert await client.all() == b""
    await client.close()


async def test_force_https_answers_301_to_https(place: Place) -> None:
    port = await started(place, echo, force_https=True)
    answer = await get(port, "/a?b")
    assert answer.status == 301
    assert answer.headers["location"] == "https://shop.flycast/a?b"
    assert (await get(port, "*", method="OPTIONS")).headers["location"] == "https://shop.flycast/"


@pytest.mark.parametrize("closing", ["Connection: close\r\n", ""])
async def test_the_client_s_connection_ends_when_it_asks(place: Place, closing: str) -> None:
    port = await started(place, echo)
    client = await Client.to(port)
    client.send(f"GET / HTTP/1.1\r\nHost: h\r\n{closing}\r\n".encode())
    answer = await client.answer()
    assert (answer.headers.get("connection") == "close") == bool(closing)
    if not closing:
        client.send(HEAD)
        assert (await client.answer()).status == 200
        client.writer.write_eof()
    assert await client.all() == b""
    await client.close()


async def test_an_http_1_0_client_may_keep_its_connection(place: Place) -> None:
    port = await started(place, echo)
    client = await Client.to(port)
    for _ in range(2):
        client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answer = await client.answer()
        assert answer.headers["connection"] == "keep-alive"
        assert answer.body.startswith(b"GET / HTTP/1.1\r\nhost: \r\n")
    await client.close()


async def test_connections_to_the_machine_are_pooled_until_released(place: Place) -> None:
    port = await started(place, echo)
    machine = place.machines[0]
    for _ in range(5):
        await get(port)
    assert machine.dials == 1
    place.proxies[0].release("m1")
    await get(port)
    assert machine.dials == 2


async def test_a_pooled_connection_the_machine_closes_is_closed_at_once(place: Place) -> None:
    closed = asyncio.Event()

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.write_eof()
        await reader.read(-1)
        closed.set()

    port = await started(place, once)
    assert (await get(port)).status == 200
    async with asyncio.timeout(POOL_SECONDS / 2):
        await closed.wait()


async def test_a_pooled_connection_that_died_unseen_is_replaced(place: Place) -> None:
    """The Machine answers the first request and closes on the second without a word, as a drain may."""
    served = 0

    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await reader.readuntil(b"\r\n\r\n")

    port = await started(place, twice)
    assert (await get(port)).status == 200
    assert (await get(port)).status == 200
    assert served == 2, place.log.lines


async def test_a_post_never_goes_out_on_a_pooled_connection(place: Place) -> None:
    port = await started(place, echo)
    machine = place.machines[0]
    await get(port)
    await get(port, method="POST", extra="Content-Length: 0\r\n")
    assert machine.dials == 2


async def test_a_get_whose_machine_dies_before_answering_is_answered_by_the_next_run(place: Place) -> None:
    runs = 0

    async def dies_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal runs
        runs += 1
        await read_request(reader)
        if runs == 1:
            asyncio.get_running_loop().call_soon(machine.die)
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()

    machine = place.machine("m1", dies_once)
    port = await place.proxy(machine)
    answer = await get(port)
    assert (answer.status, answer.body) == (200, b"ok")
    assert machine.starts == 2


async def test_a_post_whose_machine_dies_before_answering_is_502_and_not_sent_twice(place: Place) -> None:
    bodies = []

    async def dies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del writer
        bodies.append((await read_request(reader))[1])
        asyncio.get_running_loop().call_soon(machine.die)

    machine = place.machine("m1", dies)
    port = await place.proxy(machine)
    client = await Client.to(port)
    client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\npay")
    answer = await client.answer()
    assert answer.status == 502
    assert b"[PU02] could not complete HTTP request to instance" in answer.body
    assert bodies == [b"pay"]
    await client.close()


async def test_an_app_that_always_hangs_up_is_502_after_one_try(place: Place) -> None:
    port = await started(place, says(b"", then_close=True), limits=HttpLimits(gone_seconds=0.01))
    assert (await get(port)).status == 502
    assert place.machines[0].dials == 1


CUT = {
    "sized": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    "bad trailer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: a\n\r\n\r\n",
}


@pytest.mark.parametrize("framing", CUT)
async def test_a_response_cut_short_never_looks_complete(place: Place, framing: str) -> None:
    port = await started(place, says(CUT[framing], then_close=True))
    client = await Client.to(port)
    client.send(HEAD)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await client.answer()
    await client.close()
    assert place.log.count("[PU02]") == 1
    assert place.proxies[0].load("m1") == 0


BAD_RESPONSES = [
    b"nonsense\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    b"HTTP/1.1 20 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70000 + b"\r\n\r\n",
]


@pytest.mark.parametrize("response", BAD_RESPONSES)
async def test_a_response_that_is_not_http_is_502(place: Place, response: bytes) -> None:
    port = await started(place, says(response))
    assert (await get(port)).status == 502
    assert place.proxies[0].load("m1") == 0


async def test_a_machine_that_says_nothing_is_504(place: Place) -> None:
    silent = asyncio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del writer
        await read_request(reader)
        await silent.wait()

    port = await started(place, mute, limits=HttpLimits(idle_seconds=0.05))
    assert (await get(port)).status == 504
    silent.set()


@pytest.mark.parametrize("sent", [b"", b"GET / HT"])
async def test_a_client_that_says_nothing_is_closed(place: Place, sent: bytes) -> None:
    port = await started(place, echo, limits=HttpLimits(head_seconds=0.05))
    client = await Client.to(port)
    client.send(sent)
    assert await client.all() == b""
    await client.close()


async def test_a_client_that_stops_in_the_middle_of_a_body_ends_the_request(place: Place) -> None:
    port = await started(place, echo)
    client = await Client.to(port)
    client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
    await until(lambda: place.proxies[0].load("m1") == 1)
    client.writer.write_eof()
    assert await client.all() == b""
    await until(lambda: place.proxies[0].load("m1") == 0)
    await client.close()


async def test_a_client_that_resets_gives_its_load_back(place: Place) -> None:
    hold = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del writer
        await read_request(reader)
        await hold.wait()

    port = await started(place, wait)
    client = await Client.to(port)
    client.send(HEAD)
    await until(lambda: place.proxies[0].load("m1") == 1)
    reset(client)
    await until(lambda: place.proxies[0].load("m1") == 0)
    hold.set()


async def test_with_connections_the_load_is_the_client_s_connection(place: Place) -> None:
    port = await started(place, echo, concurrency=Concurrency("connections", 20, None))
    machine = place.machines[0]
    client = await Client.to(port)
    for _ in range(3):
        client.send(HEAD)
        await client.answer()
    assert place.proxies[0].load("m1") == 1
    assert place.proxies[0].load("m1", place.service) == 1
    assert machine.dials == 1
    await client.close()
    await until(lambda: place.proxies[0].load("m1") == 0)


async def test_with_connections_a_kept_client_wakes_the_machine_again(place: Place) -> None:
    machine = place.machine("m1", echo)
    port = await place.proxy(machine, concurrency=Concurrency("connections", 20, None))
    client = await Client.to(port)
    client.send(HEAD)
    await client.answer()
    await machine.stop()
    assert machine.state is MachineState.STOPPED
    client.send(HEAD)
    assert (await client.answer()).status == 200
    assert machine.starts == 2
    await client.close()


async def test_curl_and_http_client_are_content(place: Place) -> None:
    port = await started(place, echo)

    def with_curl(*arguments: str) -> str:
        return subprocess.run(
            ["curl", "-sS", "--max-time", "10", *arguments, f"http://127.0.0.1:{port}/"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    assert "HTTP/1.1 200 OK" in await asyncio.to_thread(with_curl, "-i")
    assert "HTTP/1.1 200 OK" in await asyncio.to_thread(with_curl, "-I")
    assert "a=b" in await asyncio.to_thread(with_curl, "-d", "a=b")
    assert "HTTP/1.1 200 OK" in await asyncio.to_thread(with_curl, "-i", "-0")
    chunked = ("-H", "Transfer-Encoding: chunked", "-d", "c=d")
    assert "c=d" in await asyncio.to_thread(with_curl, *chunked)

    def with_http_client() -> list[int]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        statuses = []
        for body in (None, b"x" * 100_000, None):
            connection.request("POST" if body else "GET", "/", body)
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)
        connection.close()
        return statuses

    assert await asyncio.to_thread(with_http_client) == [200, 200, 200]
