"""The raw handler: bytes unchanged, half-close, reset, backpressure, load."""

from __future__ import annotations

import asyncio
import hashlib
import struct
from typing import TYPE_CHECKING

import pytest

from lab.proxy.errors import ProxyError
from shell.flytoml import Port
from tests.lab.proxy.talk import WAIT_SECONDS, Client, reset
from tests.lab.proxy.test_wake import until

if TYPE_CHECKING:
    from tests.lab.proxy.conftest import Place
    from tests.lab.proxy.fake_machine import Serve


async def started(place: Place, serve: Serve) -> int:
    machine = place.machine("m1", serve)
    await machine.start()
    return await place.proxy(machine, http=False)


async def test_a_half_closed_client_still_gets_everything(place: Place) -> None:
    async def after_eof(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.read(-1)
        writer.write(b"got " + data)
        await writer.drain()

    port = await started(place, after_eof)
    client = await Client.to(port)
    client.send(b"question")
    client.writer.write_eof()
    assert await client.all() == b"got question"
    await client.close()


async def test_a_half_closed_machine_still_hears_the_client(place: Place) -> None:
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def banner_then_listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\n")
        writer.write_eof()
        heard.set_result(await reader.read(-1))

    port = await started(place, banner_then_listen)
    client = await Client.to(port)
    assert await client.all() == b"hello\n"
    client.send(b"thank you")
    client.writer.write_eof()
    async with asyncio.timeout(WAIT_SECONDS):
        assert await heard == b"thank you"
    await client.close()


async def test_a_client_that_stays_after_its_machine_has_ended_holds_no_load(place: Place) -> None:
    async def banner(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\n")
        writer.write_eof()
        await asyncio.get_running_loop().create_future()

    port = await started(place, banner)
    client = await Client.to(port)
    assert await client.all() == b"hello\n"
    assert place.proxies[0].load("m1") == 1, "the app might still listen"
    place.machines[0].die()
    await until(lambda: place.proxies[0].load("m1") == 0)
    await client.close()


async def test_four_mebibytes_cross_at_once_in_both_directions(place: Place) -> None:
    blob = bytes(range(256)) * 16384

    async def mirror(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

    port = await started(place, mirror)
    client = await Client.to(port)
    client.send(blob)
    back = await client.exactly(len(blob))
    assert hashlib.sha256(back).digest() == hashlib.sha256(blob).digest()
    client.writer.write_eof()
    assert await client.all() == b""
    await client.close()


async def test_a_client_that_does_not_read_holds_the_machine_back(place: Place) -> None:
    sent = 0

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.transport.set_write_buffer_limits(0)
        while sent < 200 * 1024 * 1024:
            writer.write(bytes(65536))
            await writer.drain()
            sent += 65536

    port = await started(place, flood)
    reader_of_nothing = await Client.to(port)
    reader_of_nothing.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a ReadTransport too
    before = -1
    async with asyncio.timeout(WAIT_SECONDS):
        while before != sent:
            before = sent
            await asyncio.sleep(0.2)
    assert sent < 100 * 1024 * 1024, f"{sent} bytes are buffered somewhere"
    reset(reader_of_nothing)
    await until(lambda: place.proxies[0].load("m1") == 0)


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_with_proxy_proto_the_machine_is_told_first_who_called_and_what_they_dialled(
    place: Place, version: str
) -> None:
    async def mirror(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(-1))
        await writer.drain()

    machine = place.machine("m1", mirror)  # asleep: the preface is there after a wake, too
    port = await place.proxy(machine, proxy_proto=version)
    client = await Client.to(port)
    client.send(b"question")
    client.writer.write_eof()
    _, own_port = client.writer.get_extra_info("sockname")
    sent = {
        "v1": b"PROXY TCP4 127.0.0.1 127.0.0.1 %d %d\r\n" % (own_port, port),
        "v2": b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([127, 0, 0, 1] * 2) + struct.pack("!HH", own_port, port),
    }
    assert await client.all() == sent[version] + b"question"
    await client.close()


async def test_load_counts_connections(place: Place) -> None:
    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del writer
        await reader.read(-1)

    port = await started(place, hold)
    clients = [await Client.to(port) for _ in range(3)]
    await until(lambda: place.proxies[0].load("m1") == 3)
    for client in clients:
        await client.close()
    await until(lambda: place.proxies[0].load("m1") == 0)


async def test_a_reset_by_the_machine_reaches_the_client_as_a_reset(place: Place) -> None:
    async def slam(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        reset(Client(reader, writer))

    port = await started(place, slam)
    client = await Client.to(port)
    client.send(b"x")
    with pytest.raises(ConnectionResetError):
        await client.all()
    await client.close()


async def test_a_handler_the_lab_does_not_know_is_refused_by_name(place: Place) -> None:
    await place.proxy(place.machine("m1", lambda *_: asyncio.sleep(0)))
    import socket  # noqa: PLC0415

    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(ProxyError, match="got pg_tls"):
        await place.proxies[0].serve(listener, place.service, Port(80, 80, ("pg_tls",)))
