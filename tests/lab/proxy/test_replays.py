"""Requests that ask for a Machine, and responses that send a request on."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest

from lab.proxy.replays import MAX_REPLAYS
from lab.proxy.upload import REPLAY_BYTES
from lab.states import MachineState
from shell.flytoml import Concurrency
from tests.lab.proxy.talk import Client, echo, get, read_request, says

if TYPE_CHECKING:
    from tests.lab.proxy.conftest import Place
    from tests.lab.proxy.fake_machine import Serve


def named(name: str) -> Serve:
    """An app that says who it is, then what it was asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, body = await read_request(reader)
            text = name.encode() + b"\n" + head + body
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
            await writer.drain()

    return serve


def sends_on(value: str, body: bytes = b"nobody reads this") -> Serve:
    return says(b"HTTP/1.1 409 X\r\nfly-replay: %b\r\nContent-Length: %d\r\n\r\n" % (value.encode(), len(body)) + body)


async def two_regions(place: Place, first: Serve, **options: object) -> int:
    """An app with m1 in ams, where clients are, and m2 in nrt."""
    machines = place.machine("m1", first), place.machine("m2", named("m2"), region="nrt")
    for machine in machines:
        await machine.start()
    return await place.proxy(*machines, **options)  # type: ignore[arg-type]  # the fixture's own options


@pytest.mark.parametrize(
    ("extra", "answered_by"),
    [
        ("", b"m1"),
        ("fly-prefer-region: nrt", b"m2"),
        ("Fly-Prefer-Region: syd,nrt", b"m2"),
        ("fly-prefer-region: syd", b"m1"),
        ("fly-force-region: nrt", b"m2"),
        ("fly-force-region: syd", None),
        ("fly-prefer-instance-id: m2", b"m2"),
        ("fly-prefer-instance-id: gone", b"m1"),
        ("fly-force-instance-id: m2", b"m2"),
        ("fly-force-instance-id: gone", None),
    ],
)
@pytest.mark.parametrize("concurrency", ["requests", "connections"])
async def test_a_request_says_where_it_wants_to_go(
    place: Place, extra: str, answered_by: bytes | None, concurrency: str
) -> None:
    port = await two_regions(place, named("m1"), concurrency=Concurrency(concurrency))
    client = await Client.to(port)
    client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert (await client.answer()).body.startswith(b"m1\n")
    client.send(f"GET / HTTP/1.1\r\nHost: h\r\n{extra + chr(13) + chr(10) if extra else ''}\r\n".encode())
    answer = await client.answer()
    if answered_by is None:
        assert answer.status == 503
        assert b"[PR01] no known healthy instances found" in answer.body
    else:
        assert answer.body.split(b"\n")[0] == answered_by
    await client.close()


async def test_the_machine_hears_which_preferred_one_was_not_to_be_had(place: Place) -> None:
    port = await two_regions(place, named("m1"))
    forged = "fly-preferred-instance-unavailable: forged\r\nfly-replay-src: instance=forged\r\n"
    missed = await get(port, extra=f"fly-prefer-instance-id: gone\r\n{forged}")
    assert b"fly-preferred-instance-unavailable: gone\r\n" in missed.body
    met = await get(port, extra=f"fly-prefer-instance-id: m2\r\n{forged}")
    assert b"unavailable" not in met.body
    assert b"forged" not in missed.body + met.body


async def test_a_forced_machine_that_sleeps_is_woken(place: Place) -> None:
    up, asleep = place.machine("m1", named("m1")), place.machine("m2", named("m2"))
    await up.start()
    port = await place.proxy(up, asleep)
    answer = await get(port, extra="fly-force-instance-id: m2\r\n")
    assert answer.body.startswith(b"m2\n")
    assert asleep.state is MachineState.STARTED


@pytest.mark.parametrize(
    "value", ["region=nrt", 'region="syd,nrt"', "instance=m2", "elsewhere=true", "prefer_instance=m2", "region=apac"]
)
async def test_fly_replay_sends_a_request_on_and_the_client_sees_one_answer(place: Place, value: str) -> None:
    port = await two_regions(place, sends_on(f'{value};state="left at 9"'))
    client = await Client.to(port)
    for _ in range(2):
        client.send(b"POST /buy?n=1 HTTP/1.1\r\nHost: h\r\nX-Mine: yes\r\nContent-Length: 3\r\n\r\nbuy")
        answer = await client.answer()
        assert answer.status == 200
        assert "fly-replay" not in answer.headers
        assert answer.body.startswith(b"m2\nPOST /buy?n=1 HTTP/1.1\r\n")
        assert answer.body.endswith(b"buy")
        assert b"x-mine: yes\r\n" in answer.body
        assert re.search(rb"fly-replay-src: instance=m1;region=ams;t=\d{16};state=left at 9\r\n", answer.body)
    await client.close()
    assert [place.proxies[0].load(name) for name in ("m1", "m2")] == [0, 0]


async def test_a_body_that_is_still_coming_is_sent_on_whole(place: Place) -> None:
    async def at_the_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nfly-replay: instance=m2\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    for framing, pieces in {
        b"Content-Length: 6": (b"abc", b"def"),
        b"Transfer-Encoding: chunked": (b"3\r\nabc\r\n", b"3\r\ndef\r\n0\r\n\r\n"),
    }.items():
        port = await two_regions(place, at_the_head)
        client = await Client.to(port)
        client.send(b"PUT / HTTP/1.1\r\nHost: h\r\n%b\r\n\r\n" % framing + pieces[0])
        async with asyncio.timeout(10):
            while place.machines[-1].dials == 0:  # noqa: ASYNC110 the second Machine has no event for being dialled
                await asyncio.sleep(0.001)
        client.send(pieces[1])
        assert (await client.answer()).body.endswith(b"\r\n\r\nabcdef"), framing
        await client.close()


async def test_another_app_of_the_network_gets_the_request_and_is_woken_for_it(place: Place) -> None:
    other = place.machine("o1", named("other"))
    await place.proxy(other, app_name="other")
    port = await two_regions(place, sends_on("app=other"))
    answer = await get(port, "/path")
    assert answer.body.startswith(b"other\nGET /path ")
    assert b"fly-replay-src: instance=m1;" in answer.body
    assert other.starts == 1
    assert place.proxies[0].load("o1") == 0


async def test_an_app_that_is_sent_to_can_send_on_in_its_turn(place: Place) -> None:
    await place.proxy(place.machine("o1", sends_on("app=shop;instance=m2")), app_name="other")
    port = await two_regions(place, sends_on("app=other"))
    answer = await get(port)
    assert answer.body.startswith(b"m2\n")
    assert b"fly-replay-src: instance=o1;" in answer.body


@pytest.mark.parametrize(
    ("value", "status", "told"),
    [
        ("app=nowhere", 502, b"[PA04] app 'shop' used 'fly-replay' response header to target app 'nowhere'"),
        ("app=raw", 503, b"app 'raw' has no http service on this port"),
        ("planet=mars", 502, b"[PA03] could not parse 'fly-replay' response header"),
        ("instance=m1", 502, b"[PA02] 'fly-replay' response header was returned too many times, stopping there"),
        ("region=lax", 503, b"[PR01] no known healthy instances found"),
    ],
)
async def test_a_replay_that_leads_nowhere_is_told_and_logged(
    place: Place, value: str, status: int, told: bytes
) -> None:
    await place.proxy(place.machine("r1", echo), app_name="raw", http=False)
    port = await two_regions(place, sends_on(value))
    client = await Client.to(port)
    for _ in range(2):
        client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        answer = await client.answer()
        assert answer.status == status
        assert told in answer.body
    await client.close()
    assert place.log.count(told.decode()) == 2
    assert place.proxies[-1].load("m1") == 0


async def test_a_replay_in_json_is_refused_and_not_shown_to_the_client_as_an_answer(place: Place) -> None:
    response = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.fly.replay+json\r\nContent-Length: 2\r\n\r\n{}"
    port = await two_regions(place, says(response))
    answer = await get(port)
    assert answer.status == 502
    assert b"[PA03]" in answer.body
    assert b"the lab knows the header only" in answer.body


async def test_machines_that_send_a_request_round_are_asked_a_bounded_number_of_times(place: Place) -> None:
    asked = 0

    async def round_and_round(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await read_request(reader)
        asked += 1
        writer.write(b"HTTP/1.1 200 OK\r\nfly-replay: elsewhere=true\r\nContent-Length: 0\r\n\r\n")

    machines = [place.machine(f"m{n}", round_and_round) for n in range(2)]
    port = await place.proxy(*machines)
    assert (await get(port)).status == 502
    assert asked == MAX_REPLAYS + 1


@pytest.mark.parametrize(("size", "status"), [(REPLAY_BYTES, 200), (REPLAY_BYTES + 1, 502)])
async def test_a_request_over_a_megabyte_is_not_sent_on(place: Place, size: int, status: int) -> None:
    port = await two_regions(place, sends_on("region=nrt"))
    client = await Client.to(port)
    client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
    answer = await client.answer()
    assert answer.status == status
    assert (b"[PA01] cannot retry/replay request" in answer.body) == (status == 502)
    await client.close()


async def test_a_chunked_request_over_a_megabyte_is_not_sent_on(place: Place) -> None:
    port = await two_regions(place, sends_on("region=nrt"))
    client = await Client.to(port)
    client.send(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send(b"%x\r\n%b\r\n0\r\n\r\n" % (REPLAY_BYTES, b"x" * REPLAY_BYTES))
    assert b"[PA01]" in (await client.answer()).body
    await client.close()


@pytest.mark.parametrize(("client_region", "answered_by"), [("ams", b"m1"), ("nrt", b"m2"), ("sin", b"m2")])
async def test_a_client_gets_the_machine_that_is_closest_to_the_client(
    place: Place, client_region: str, answered_by: bytes
) -> None:
    port = await two_regions(place, named("m1"), region="lax", regions={"127.0.0.1": client_region})
    answer = await get(port)
    assert answer.body.split(b"\n")[0] == answered_by
    assert f"fly-region: {client_region}\r\n".encode() in answer.body.lower()
    assert answer.headers["fly-request-id"].endswith(f"-{client_region}")


async def test_a_machine_that_fails_its_checks_gets_no_request(place: Place) -> None:
    sick, well = place.machine("m1", named("m1")), place.machine("m2", named("m2"), region="nrt")
    await sick.start()
    port = await place.proxy(sick, well)
    sick.failing_checks = True
    assert (await get(port)).body.startswith(b"m2\n"), "the sleeping one is woken instead"
    await well.stop()
    well.start_fault = "no capacity"
    assert (await get(port)).status == 503
    sick.failing_checks = False
    assert (await get(port)).body.startswith(b"m1\n")
