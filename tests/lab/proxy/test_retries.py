"""What is sent again when a Machine ends before it answers, and how much of it the proxy keeps for that."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from lab.proxy.upload import RETRY_BYTES
from tests.lab.proxy.talk import Client, read_request

if TYPE_CHECKING:
    from tests.lab.proxy.conftest import Place
    from tests.lab.proxy.fake_machine import FakeMachine

OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


class DiesOnce:
    """An app whose Machine ends in its first run, once it has read `after` bytes of a body."""

    def __init__(self, after: int) -> None:
        self.machine: FakeMachine
        self.after = after
        self.runs = 0
        self.body = b""
        self.dead = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.runs += 1
        if self.runs == 1:
            await reader.readuntil(b"\r\n\r\n")
            left = self.after
            while left > 0:
                left -= len(await reader.read(min(left, 65536)))
            asyncio.get_running_loop().call_soon(self.machine.die)
            self.dead.set()
            return
        _, self.body = await read_request(reader)
        writer.write(OK % len(self.body) + self.body)
        await writer.drain()


async def asleep(place: Place, after: int) -> tuple[DiesOnce, Client]:
    app = DiesOnce(after)
    app.machine = place.machine("m1", app.serve)
    return app, await Client.to(await place.proxy(app.machine))


async def test_a_body_still_on_its_way_is_sent_again_from_its_beginning(place: Place) -> None:
    app, client = await asleep(place, after=4)
    client.send(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 8\r\n\r\nhalf")
    await app.dead.wait()
    client.send(b"half")
    assert (await client.answer()).body == b"halfhalf"
    assert app.runs == 2
    await client.close()


async def test_a_chunked_body_is_sent_again_whole_and_without_its_trailers(place: Place) -> None:
    app, client = await asleep(place, after=4)
    client.send(b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
    await app.dead.wait()
    client.send(b"4\r\nhalf\r\n0\r\nX-Sum: 8\r\n\r\n")
    assert (await client.answer()).body == b"halfhalf"
    await client.close()


@pytest.mark.parametrize(("size", "status"), [(RETRY_BYTES, 200), (RETRY_BYTES + 1, 502)])
async def test_ten_megabytes_are_kept_for_that_and_no_more(place: Place, size: int, status: int) -> None:
    app, client = await asleep(place, after=size)
    client.send(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size)
    client.send(bytes(size))
    answer = await client.answer()
    assert answer.status == status, place.log.lines
    if status == 200:
        assert len(app.body) == size
    else:
        expected = "[PA01] cannot retry/replay request because request body has been read past"
        assert expected.encode() in answer.body
        assert place.log.count(expected) == 1
    await client.close()


async def test_a_post_still_on_its_way_is_502_and_not_sent_twice(place: Place) -> None:
    app, client = await asleep(place, after=4)
    client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 8\r\n\r\nhalf")
    answer = await client.answer()
    assert answer.status == 502
    assert app.runs == 1
    await client.close()
