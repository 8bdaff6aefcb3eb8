"""A suspended Machine: its kernel accepts, its app does not move, and its old connections are dead."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from lab.states import MachineState
from shell.flytoml import Concurrency
from tests.lab.proxy.talk import WAIT_SECONDS, Client, get, says
from tests.lab.proxy.test_wake import until

if TYPE_CHECKING:
    from tests.lab.proxy.conftest import Place
    from tests.lab.proxy.fake_machine import FakeMachine

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
OK = says(RESPONSE)
GET = b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n"


def suspend(place: Place, machine: FakeMachine) -> None:
    machine.suspend()
    place.proxies[0].cut(machine.machine_id)


async def test_two_hundred_suspensions_and_wakes_fail_no_request(place: Place) -> None:
    machine = place.machine("m1", OK)
    port = await place.proxy(machine)
    for cycle in range(200):
        assert (await get(port)).status == 200, f"cycle {cycle}: {place.log.lines[-5:]}"
        suspend(place, machine)
    assert machine.starts == 1


@pytest.mark.parametrize("concurrency", ["requests", "connections"])
async def test_a_kept_client_connection_wakes_the_machine_with_its_next_request(place: Place, concurrency: str) -> None:
    machine = place.machine("m1", OK)
    port = await place.proxy(machine, concurrency=Concurrency(concurrency))
    client = await Client.to(port)
    for _ in range(3):
        client.send(GET)
        assert (await client.answer()).status == 200, place.log.lines
        suspend(place, machine)
    await client.close()


async def test_a_raw_client_sees_a_reset_and_so_does_the_app_when_it_goes_on(place: Place) -> None:
    seen: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"banner")
        try:
            await reader.read(-1)
        except ConnectionResetError:
            seen.set_result("reset")
        else:
            seen.set_result("end of stream")

    machine = place.machine("m1", hold)
    port = await place.proxy(machine, http=False)
    client = await Client.to(port)
    assert await client.exactly(6) == b"banner"
    suspend(place, machine)
    with pytest.raises(ConnectionResetError):
        await client.all()
    async with asyncio.timeout(WAIT_SECONDS):
        assert await seen == "reset"
    await client.close()


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("POST", 502)])
async def test_a_request_under_way_is_sent_again_only_if_that_is_safe(place: Place, method: str, status: int) -> None:
    arrived = asyncio.Event()

    async def frozen_at_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if not arrived.is_set():
            arrived.set()
            await reader.read(-1)
        writer.write(RESPONSE)
        await writer.drain()

    machine = place.machine("m1", frozen_at_first)
    port = await place.proxy(machine)
    request = asyncio.create_task(get(port, method=method))
    await arrived.wait()
    suspend(place, machine)
    assert (await request).status == status, place.log.lines
    assert (machine.state is MachineState.STARTED) == (status == 200)


async def test_a_machine_suspended_while_a_request_waits_for_it_is_woken_again(place: Place) -> None:
    machine = place.machine("m1", OK)
    machine.may_listen.clear()
    port = await place.proxy(machine)
    request = asyncio.create_task(get(port))
    await until(lambda: machine.dials > 1)
    suspend(place, machine)
    machine.may_listen.set()
    assert (await request).status == 200, place.log.lines
    assert machine.starts == 1


async def test_everything_suspended_without_autostart_is_503(place: Place) -> None:
    machine = place.machine("m1", OK)
    await machine.start()
    port = await place.proxy(machine, auto_start=False)
    suspend(place, machine)
    assert (await get(port)).status == 503
