"""A fault of the proxy itself in one connection is an error in the log, and the next connection is served."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from lab.proxy import raw
from lab.proxy.upload import Upload
from lab.proxy.websocket import WebSocket
from tests.lab.proxy.talk import Client, echo, get, reset
from tests.lab.proxy.test_wake import until
from tests.lab.proxy.test_websocket import SWITCHED, UPGRADE

if TYPE_CHECKING:
    from tests.lab.proxy.conftest import Place

BROKEN = "RuntimeError: broken on purpose (raised in"


def broken(*_: Any) -> Any:
    raise RuntimeError("broken on purpose")


async def broken_later(*_: Any) -> Any:
    await asyncio.sleep(0)
    broken()


async def switches(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    if b"upgrade" not in head.lower():
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        return
    writer.write(SWITCHED + b"\x81\x02hi")
    await reader.read()


FAULTS = {
    "raw": (raw, "_pump", broken_later, b"hello"),
    "websocket": (WebSocket, "_to_client", broken, UPGRADE),
    "upload": (Upload, "_keep", broken, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n"),
}


@pytest.mark.parametrize("kind", FAULTS)
async def test_a_fault_of_the_proxy_s_own_is_told_and_ends_one_connection(
    place: Place, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, function, fault, sent = FAULTS[kind]
    machine = place.machine("m1", switches if kind == "websocket" else echo)
    await machine.start()
    port = await place.proxy(machine, http=kind != "raw")
    client = await Client.to(port)
    with monkeypatch.context() as patch:
        patch.setattr(owner, function, fault)
        client.send(sent)
        if kind == "upload":
            await until(lambda: place.proxies[0].load("m1") == 1)
            client.send(b"the rest")
        await until(lambda: place.log.count(f"connection failed: {BROKEN}") == 1)
    await until(lambda: place.proxies[0].load("m1") == 0)
    await client.close()
    assert (await get(port)).status == 200


async def test_a_machine_that_cannot_be_watched_while_it_wakes_is_a_fault_and_no_exit(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = place.machine("m1", echo)
    machine.may_listen.clear()
    port = await place.proxy(machine)
    monkeypatch.setattr(machine, "exited", broken_later)
    client = await Client.to(port)
    client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    await until(lambda: place.log.count(f"connection failed: {BROKEN}") == 1)
    await client.close()


async def test_a_start_that_fails_by_a_fault_is_told_though_nobody_waits_for_it_any_more(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = place.machine("m1", echo)
    port = await place.proxy(machine)
    may_fail = asyncio.Event()

    async def fail() -> None:
        await may_fail.wait()
        broken()

    monkeypatch.setattr(machine, "start", fail)
    client = await Client.to(port)
    client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    await until(lambda: place.proxies[0].load("m1") == 1)
    reset(client)
    await until(lambda: place.proxies[0].load("m1") == 0)
    may_fail.set()
    await until(lambda: place.log.count(f"a start failed: {BROKEN}") == 1)
