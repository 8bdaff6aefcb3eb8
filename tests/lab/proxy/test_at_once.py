"""Requests that go from callback to callback, and the points where the task takes over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from lab.proxy.exchange import HttpLimits
from shell.flytoml import Concurrency
from tests.lab.proxy.talk import Client, echo, read_request, reset
from tests.lab.proxy.test_http import started
from tests.lab.proxy.test_wake import until

if TYPE_CHECKING:
    from tests.lab.proxy.conftest import Place

HEAD = b"GET / HTTP/1.1\r\nHost: shop.flycast\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def one_request(client: Client) -> None:
    client.send(HEAD)
    assert (await client.answer()).status == 200


async def test_an_answer_split_at_every_byte_is_the_same_answer(place: Place) -> None:
    cuts = iter(range(len(OK)))

    async def app(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        for cut in cuts:
            await read_request(reader)
            writer.write(OK[:cut])
            await writer.drain()
            for _ in range(4):  # turns of the loop: the proxy gets the first piece alone
                await asyncio.sleep(0)
            writer.write(OK[cut:])

    port = await started(place, app)
    client = await Client.to(port)
    await one_request(client)
    for cut in range(len(OK)):
        client.send(HEAD)
        answer = await client.answer()
        assert (answer.status, answer.body) == (200, b"ok"), f"split after {cut} bytes"
    assert place.machines[0].dials == 1
    assert place.proxies[0].load("m1") == 0
    await client.close()


@pytest.mark.parametrize("concurrency", ["requests", "connections"])
async def test_what_a_machine_says_unasked_is_nobody_s_answer(place: Place, concurrency: str) -> None:
    said = asyncio.Event()
    answers = iter([OK, OK, OK.replace(b"ok", b"me")])

    async def app(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            answer = next(answers)
            writer.write(answer)
            if b"me" not in answer and place.machines[0].dials == 1:
                await said.wait()
                writer.write(OK.replace(b"ok", b"no"))

    port = await started(place, app, concurrency=Concurrency(concurrency, 20, None))
    client = await Client.to(port)
    await one_request(client)
    said.set()
    for _ in range(8):
        await asyncio.sleep(0)
    for expected in (b"ok", b"me"):
        client.send(HEAD)
        assert (await client.answer()).body == expected
    assert place.machines[0].dials == 2
    await client.close()


async def test_a_kept_connection_whose_machine_falls_silent_is_504(place: Place) -> None:
    over = asyncio.Event()

    async def app(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        await read_request(reader)
        await over.wait()

    port = await started(place, app, limits=HttpLimits(idle_seconds=0.05))
    client = await Client.to(port)
    await one_request(client)
    client.send(HEAD)
    assert (await client.answer()).status == 504
    over.set()
    await client.close()


async def test_a_client_that_falls_silent_after_a_request_is_closed(place: Place) -> None:
    port = await started(place, echo, limits=HttpLimits(keep_alive_seconds=0.05))
    client = await Client.to(port)
    await one_request(client)
    await one_request(client)
    assert await client.all() == b""
    await client.close()


async def with_a_second_request_under_way(place: Place, over: asyncio.Event) -> Client:
    """Return a client whose first request was answered and whose second one is not, until `over` is set."""

    async def app(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        await read_request(reader)
        await over.wait()

    client = await Client.to(await started(place, app))
    await one_request(client)
    client.send(HEAD)
    await until(lambda: place.proxies[0].load("m1") == 1)
    return client


async def test_a_client_that_resets_a_later_request_gives_its_load_back(place: Place) -> None:
    over = asyncio.Event()
    client = await with_a_second_request_under_way(place, over)
    reset(client)
    await until(lambda: place.proxies[0].load("m1") == 0)
    over.set()


async def test_a_proxy_that_closes_leaves_no_request_under_way(place: Place) -> None:
    over = asyncio.Event()
    client = await with_a_second_request_under_way(place, over)
    await place.proxies[0].close()
    assert place.proxies[0].load("m1") == 0
    assert await client.all() == b""
    over.set()
    await client.close()


async def test_a_fault_of_our_own_ends_the_connection_and_is_logged(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = await started(place, echo)
    client = await Client.to(port)
    await one_request(client)

    def broken(_port: int) -> bool:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(place.machines[0], "serves", broken)
    client.send(HEAD)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await client.answer()
    assert place.log.count("connection failed: RuntimeError: broken on purpose (raised in") == 1
    await client.close()
