"""Waking: one start for many, waiting until reachable, and every way it can fail."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING

import pytest

from lab.proxy.reach import Patience
from lab.states import MachineState
from shell.flytoml import Concurrency
from tests.lab.proxy.conftest import QUICK, Place
from tests.lab.proxy.talk import Client, echo, get, reset, says

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab.proxy.fake_machine import Serve

OK = says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 the fact is inside the proxy and has no event
            await asyncio.sleep(0.001)


async def test_a_hundred_concurrent_cold_requests_cause_one_start_and_all_succeed(place: Place) -> None:
    machine = place.machine("m1", OK)
    machine.may_listen.clear()
    port = await place.proxy(machine)
    requests = [asyncio.create_task(get(port)) for _ in range(100)]
    await until(lambda: place.proxies[0].load("m1") == 100)
    machine.may_listen.set()
    answers = await asyncio.gather(*requests)
    assert [answer.status for answer in answers] == [200] * 100
    assert machine.starts == 1
    assert place.log.count("became reachable") == 1, place.log.lines
    assert place.log.count("PC01") == 0, place.log.lines


async def test_a_start_in_progress_is_joined(place: Place) -> None:
    machine = place.machine("m1", OK)
    machine.may_start.clear()
    port = await place.proxy(machine)
    by_hand = asyncio.create_task(machine.start())
    await until(lambda: machine.state is MachineState.STARTING)
    request = asyncio.create_task(get(port))
    await until(lambda: place.proxies[0].load("m1") == 1)
    machine.may_start.set()
    assert (await request).status == 200
    await by_hand
    assert machine.starts == 1


async def test_two_hundred_stop_and_wake_cycles_fail_no_request(place: Place) -> None:
    machine = place.machine("m1", OK)
    port = await place.proxy(machine)
    for cycle in range(200):
        assert (await get(port)).status == 200, f"cycle {cycle}: {place.log.lines[-5:]}"
        place.proxies[0].release("m1")
        await machine.stop()
    assert machine.starts == 200


async def test_a_request_to_a_stopping_machine_waits_and_wakes_it(place: Place) -> None:
    machine = place.machine("m1", OK)
    port = await place.proxy(machine)
    await get(port)
    machine.may_stop.clear()
    stop = asyncio.create_task(machine.stop())
    await until(lambda: machine.state is MachineState.STOPPING)
    request = asyncio.create_task(get(port))
    await until(lambda: place.proxies[0].load("m1") == 1)
    machine.may_stop.set()
    await stop
    assert (await request).status == 200
    assert machine.starts == 2


async def test_a_machine_that_never_listens_gets_503_after_fifteen_attempts(place: Place) -> None:
    machine = place.machine("m1", OK)
    machine.may_listen.clear()
    port = await place.proxy(machine, patience=QUICK)
    began = time.monotonic()
    answer = await get(port)
    assert 15 * QUICK.attempt_seconds <= time.monotonic() - began < 5
    assert answer.status == 503
    assert "fly-request-id" in answer.headers
    text = "\n".join(place.log.lines)
    assert re.search(r"waiting for machine to be reachable on 0\.0\.0\.0:8080 \(waited \d\.\ds so far\)", text)
    assert re.search(r"\[PM05\] failed to connect to machine: gave up after 15 attempts \(in \d\.\d\ds\)", text)
    assert re.search(
        r"\[PR03\] could not find a good candidate within 40 attempts at load balancing\. last error: \[PM05\]",
        text,
    )
    assert place.proxies[0].load("m1") == 0


def test_fly_s_own_windows_give_up_after_eight_to_eleven_seconds() -> None:
    patience = Patience()
    assert patience.attempts == 15
    assert 8 <= patience.attempts * patience.attempt_seconds <= 11


async def test_a_warm_machine_that_refuses_is_logged_as_pc01_then_waited_for(place: Place) -> None:
    machine = place.machine("m1", OK)
    machine.may_listen.clear()
    await machine.start()
    port = await place.proxy(machine)
    request = asyncio.create_task(get(port))
    await until(lambda: place.log.count("[PC01]") == 1)
    machine.may_listen.set()
    assert (await request).status == 200
    assert place.log.lines[0] == (
        "proxy: [PC01] instance refused connection. is your app listening on 0.0.0.0:8080? "
        "make sure it is not only listening on 127.0.0.1"
    )


async def test_a_machine_that_dies_while_waited_for_ends_the_wait_at_once(place: Place) -> None:
    machine = place.machine("m1", OK)
    machine.may_listen.clear()
    slow = Patience(attempt_seconds=100)
    port = await place.proxy(machine, patience=slow)
    request = asyncio.create_task(get(port))
    await until(lambda: machine.dials > 0)
    machine.die()
    await until(lambda: machine.starts == 2)
    machine.may_listen.set()
    assert (await request).status == 200
    assert place.log.count("machine exited before it answered on 0.0.0.0:8080") == 1


async def test_an_app_that_crashes_at_start_gets_503_after_two_starts(place: Place) -> None:
    machine = place.machine("m1", OK)
    machine.crash_at_start = True
    port = await place.proxy(machine, patience=Patience(attempt_seconds=100))
    answers = await asyncio.gather(*(get(port) for _ in range(20)))
    assert {answer.status for answer in answers} == {503}
    assert all(b"machine exited" in answer.body for answer in answers)
    assert machine.starts == 2


async def test_a_machine_that_cannot_start_gives_503_with_the_reason(place: Place) -> None:
    machine = place.machine("m1", OK)
    machine.start_fault = "no such program: svc"
    port = await place.proxy(machine)
    answer = await get(port)
    assert answer.status == 503
    assert b'[PM01] machines API returned an error: "no such program: svc"' in answer.body


async def test_another_machine_takes_the_request_of_one_that_cannot_start(place: Place) -> None:
    broken = place.machine("m1", OK)
    broken.start_fault = "out of capacity"
    good = place.machine("m2", OK, region="cdg")
    port = await place.proxy(broken, good)
    assert (await get(port)).status == 200
    assert (broken.starts, good.starts) == (1, 1)


async def test_everything_asleep_without_autostart_is_503_at_once(place: Place) -> None:
    machine = place.machine("m1", OK)
    port = await place.proxy(machine, auto_start=False)
    answer = await get(port)
    assert answer.status == 503
    assert b"[PR01] no known healthy instances found for route tcp/" in answer.body
    assert machine.starts == 0


async def test_a_start_that_hangs_is_503_at_its_deadline(place: Place) -> None:
    machine = place.machine("m1", OK)
    machine.may_start.clear()
    port = await place.proxy(machine, patience=Patience(start_seconds=0.05))
    answer = await get(port)
    assert answer.status == 503
    assert b"not started after 0.05 s" in answer.body


async def test_the_raw_client_is_accepted_held_and_answered(place: Place) -> None:
    async def banner(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\n")
        await writer.drain()

    machine = place.machine("m1", banner)
    machine.may_listen.clear()
    port = await place.proxy(machine, http=False)
    client = await Client.to(port)
    await until(lambda: machine.dials > 0)
    machine.may_listen.set()
    assert await client.all() == b"hello\n"
    await client.close()


async def test_the_raw_client_of_a_dead_app_is_closed_empty(place: Place) -> None:
    machine = place.machine("m1", OK)
    machine.crash_at_start = True
    port = await place.proxy(machine, http=False)
    client = await Client.to(port)
    assert await client.all() == b""
    await client.close()
    assert place.proxies[0].load("m1") == 0


async def test_a_client_that_leaves_while_held_gives_its_load_back(place: Place) -> None:
    machine = place.machine("m1", OK)
    machine.may_listen.clear()
    port = await place.proxy(machine, http=False, patience=Patience(attempt_seconds=100))
    client = await Client.to(port)
    await until(lambda: place.proxies[0].load("m1") == 1)
    reset(client)
    await until(lambda: place.proxies[0].load("m1") == 0)


async def test_a_client_that_leaves_does_not_end_the_start_others_wait_for(place: Place) -> None:
    machine = place.machine("m1", OK)
    machine.may_start.clear()
    port = await place.proxy(machine)
    leaver = await Client.to(port)
    leaver.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    await until(lambda: place.proxies[0].load("m1") == 1)
    stayer = asyncio.create_task(get(port))
    await until(lambda: place.proxies[0].load("m1") == 2)
    reset(leaver)
    await until(lambda: place.proxies[0].load("m1") == 1)
    machine.may_start.set()
    assert (await stayer).status == 200
    assert machine.starts == 1


async def test_with_its_last_client_gone_the_proxy_stops_dialling(place: Place) -> None:
    machine = place.machine("m1", OK)
    machine.may_listen.clear()
    port = await place.proxy(machine, patience=Patience(attempt_seconds=100))
    client = await Client.to(port)
    client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    await until(lambda: machine.dials > 0)
    reset(client)
    waits = place.proxies[0]._upstreams._reach._waits  # noqa: SLF001 dialling has no other outward sign
    await until(lambda: not waits)
    assert place.proxies[0].load("m1") == 0


async def test_at_the_hard_limit_requests_queue_in_order(place: Place) -> None:
    gates = [asyncio.Event() for _ in range(4)]
    seen: list[int] = []

    async def gated(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            number = int(head.split()[1][1:])
            seen.append(number)
            await gates[number].wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)

    machine = place.machine("m1", gated)
    await machine.start()
    port = await place.proxy(machine, concurrency=Concurrency("requests", 1, 1))
    requests = []
    for number in range(4):
        requests.append(asyncio.create_task(get(port, f"/{number}")))
        await until(lambda n=number: _queued(place) == max(0, n) and seen[:1] == [0])  # type: ignore[misc]
    for gate in gates:
        gate.set()
    assert [answer.body for answer in await asyncio.gather(*requests)] == [b"0", b"1", b"2", b"3"]
    assert seen == [0, 1, 2, 3]


def _queued(place: Place) -> int:
    balancer = place.proxies[0]._balancer  # noqa: SLF001 there is no other way to see who waits
    return len(balancer.route(place.service).queue)


async def test_a_queue_that_does_not_move_ends_in_503(place: Place) -> None:
    held = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await held.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    machine = place.machine("m1", hold)
    port = await place.proxy(machine, concurrency=Concurrency("requests", 1, 1), patience=Patience(queue_seconds=0.05))
    first = asyncio.create_task(get(port))
    await until(lambda: place.proxies[0].load("m1") == 1)
    refused = await get(port)
    assert refused.status == 503
    assert refused.body == b"[PR04] could not find a good candidate within 40 attempts at load balancing\n"
    assert place.log.count("Instance reached hard limit of 1 concurrent requests") == 1
    held.set()
    assert (await first).status == 200


async def test_one_that_waits_for_a_certain_machine_does_not_hold_up_the_others(place: Place) -> None:
    gates = {name: asyncio.Event() for name in ("m1", "m2")}

    def gated(name: str) -> Serve:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await gates[name].wait()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + name.encode())

        return serve

    machines = [place.machine(name, gated(name)) for name in gates]
    for machine in machines:
        await machine.start()
    port = await place.proxy(*machines, concurrency=Concurrency("requests", 1, 1))
    holders = [asyncio.create_task(get(port)) for _ in machines]
    await until(lambda: all(place.proxies[0].load(name) == 1 for name in gates))
    choosy = asyncio.create_task(get(port, extra="fly-force-instance-id: m1\r\n"))
    await until(lambda: _queued(place) == 1)
    easy = asyncio.create_task(get(port))
    await until(lambda: _queued(place) == 2)
    gates["m2"].set()
    assert (await easy).body == b"m2"
    assert not choosy.done()
    gates["m1"].set()
    assert (await choosy).body == b"m1"
    await asyncio.gather(*holders)


@pytest.mark.parametrize("http", [True, False])
async def test_close_leaves_no_load_and_no_task_while_clients_wait(place: Place, http: bool) -> None:
    machine = place.machine("m1", echo)
    machine.may_listen.clear()
    port = await place.proxy(machine, http=http, patience=Patience(attempt_seconds=100))
    clients = [await Client.to(port) for _ in range(5)]
    for client in clients:
        client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    await until(lambda: place.proxies[0].load("m1") == 5)
    await place.proxies[0].close()
    assert place.proxies[0].load("m1") == 0
    for client in clients:
        await client.close()


async def test_the_delay_added_after_the_app_listens_is_milliseconds(place: Place) -> None:
    accepted: list[float] = []

    async def stamp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(time.monotonic())
        await echo(reader, writer)

    machine = place.machine("m1", stamp)
    machine.may_listen.clear()
    port = await place.proxy(machine, patience=Patience())
    request = asyncio.create_task(get(port))
    await until(lambda: machine.dials > 10)
    listened = time.monotonic()
    machine.may_listen.set()
    await request
    assert accepted[0] - listened < 1.0, "a generous bound for a busy machine; the benchmark has the true figure"
