"""WebSockets: a goodbye before the Machine stops, between frames and never inside one."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web

from lab.proxy import websocket
from lab.proxy.websocket import GOING_AWAY, FrameEnds
from tests.lab.proxy.talk import Client
from tests.lab.proxy.test_wake import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import pytest

    from tests.lab.proxy.conftest import Place
    from tests.lab.proxy.fake_machine import FakeMachine, Serve

UPGRADE = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def frame(length: int, *, masked: bool = False) -> bytes:
    mask = b"mask" if masked else b""
    bit = 0x80 if masked else 0
    if length < 126:
        head = bytes([0x82, bit | length])
    elif length < 1 << 16:
        head = bytes([0x82, bit | 126]) + struct.pack("!H", length)
    else:
        head = bytes([0x82, bit | 127]) + struct.pack("!Q", length)
    return head + mask + bytes(length)


FRAMES = [frame(n, masked=m) for n in (0, 1, 125, 126, 300, 65535, 65536) for m in (False, True)]


def test_the_end_of_a_frame_is_found_wherever_its_bytes_were_split() -> None:
    whole = b"".join(FRAMES)
    ends = {sum(map(len, FRAMES[:count])) for count in range(len(FRAMES) + 1)}
    cuts = sorted({n for end in ends for n in range(end - 12, end + 16) if 0 <= n <= len(whole)})
    for cut in cuts:
        one = FrameEnds()
        assert one.take(whole[:cut]) == cut
        assert one.between == (cut in ends), f"after {cut} bytes"
        following = min(end for end in ends if end >= cut)
        assert one.take(whole[cut:], to_end_of_frame=True) == following - cut, f"after {cut} bytes"
        assert one.between


def test_a_frame_byte_by_byte_ends_once() -> None:
    for each in FRAMES[:10]:
        ends = FrameEnds()
        seen = [ends.take(each[at : at + 1]) == 1 and ends.between for at in range(len(each))]
        assert seen == [False] * (len(each) - 1) + [True]


def app(talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCHED)
        await talk(reader, writer)

    return serve


async def opened(place: Place, serve: Serve) -> tuple[Client, FakeMachine]:
    machine = place.machine("m1", serve)
    client = await Client.to(await place.proxy(machine))
    client.send(UPGRADE)
    assert b" 101 " in await client.head()
    return client, machine


async def test_an_idle_websocket_is_told_that_its_machine_goes_and_the_app_hears_the_client_s_close(
    place: Place,
) -> None:
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(3))
        heard.set_result(await reader.readexactly(8))
        writer.write(b"\x88\x02\x03\xe9")  # the app's own Close is not for a client that has one

    client, _ = await opened(place, app(listen))
    await client.exactly(len(frame(3)))
    place.proxies[0].release("m1")
    assert await client.exactly(4) == GOING_AWAY
    client.send(b"\x88\x82\0\0\0\0\x03\xe9")
    assert await asyncio.wait_for(heard, 10) == b"\x88\x82\0\0\0\0\x03\xe9"
    assert await client.all() == b""
    await client.close()
    await until(lambda: place.proxies[0].load("m1") == 0)


async def test_a_goodbye_waits_for_the_end_of_the_frame_under_way(place: Place) -> None:
    go_on = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(1000)[:500])
        await go_on.wait()
        writer.write(frame(1000)[500:] + frame(50))
        await reader.read(-1)

    client, _ = await opened(place, app(slow))
    first = await client.exactly(500)
    place.proxies[0].release("m1")
    go_on.set()
    assert first + await client.exactly(504) == frame(1000)
    assert await client.exactly(4) == GOING_AWAY
    client.writer.write_eof()
    assert await client.all() == b""
    await client.close()


async def test_a_suspended_machine_s_websocket_ends_with_a_goodbye_and_not_a_reset(place: Place) -> None:
    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del writer
        with suppress(ConnectionResetError):
            await reader.read(-1)

    client, machine = await opened(place, app(hold))
    place.proxies[0].release("m1")
    machine.suspend()
    place.proxies[0].cut("m1")
    assert await client.all() == GOING_AWAY
    await client.close()
    await until(lambda: place.proxies[0].load("m1") == 0)


async def test_a_client_that_does_not_answer_a_goodbye_is_let_go(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "FAREWELL_SECONDS", 0.05)

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del writer
        await reader.read(-1)

    client, _ = await opened(place, app(hold))
    place.proxies[0].release("m1")
    assert await client.all() == GOING_AWAY
    await until(lambda: place.proxies[0].load("m1") == 0)
    await client.close()


async def test_another_upgrade_gets_no_goodbye(place: Place) -> None:
    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
        writer.write(await reader.readexactly(4))
        await writer.drain()

    client = await Client.to(await place.proxy(place.machine("m1", other)))
    client.send(UPGRADE.replace(b"websocket", b"chat"))
    await client.head()
    place.proxies[0].release("m1")
    client.send(b"ping")
    assert await client.all() == b"ping"
    await client.close()


async def test_aiohttp_s_client_and_server_see_1001_and_an_orderly_end(place: Place) -> None:
    ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    async def echo(request: web.Request) -> web.WebSocketResponse:
        answer = web.WebSocketResponse()
        await answer.prepare(request)
        async for message in answer:
            await answer.send_str(message.data)
        ended.set_result(answer.close_code)
        return answer

    web_app = web.Application()
    web_app.router.add_get("/ws", echo)
    runner = web.AppRunner(web_app)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise AssertionError(reader, writer)

    machine = place.machine("m1", never)
    await machine.start()
    machine.endpoint = lambda _: listener.getsockname()  # type: ignore[method-assign, assignment]  # a real server's place
    port = await place.proxy(machine)
    async with aiohttp.ClientSession() as session, session.ws_connect(f"http://127.0.0.1:{port}/ws") as ws:
        for size in (5, 70_000):
            await ws.send_str("x" * size)
            assert len(await ws.receive_str(timeout=10)) == size
        place.proxies[0].release("m1")
        message = await ws.receive(timeout=10)
        assert message.type is aiohttp.WSMsgType.CLOSE
        assert message.data == 1001
    assert await asyncio.wait_for(ended, 10) == 1000, "the close that aiohttp's client answers with"
    await runner.cleanup()


async def test_a_websocket_that_its_machine_has_closed_already_gets_no_goodbye(place: Place) -> None:
    over = asyncio.Event()

    async def leaves(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        writer.write(frame(3))
        writer.write_eof()
        await over.wait()

    client, _ = await opened(place, app(leaves))
    assert await client.all() == frame(3)
    place.proxies[0].release("m1")
    client.writer.write_eof()
    over.set()
    await until(lambda: place.proxies[0].load("m1") == 0)
    assert place.log.count("connection failed") == 0, place.log.lines
    await client.close()
