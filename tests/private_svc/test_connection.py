"""One connection, event by event, with no socket in between."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from private_svc.web.connection import Connection
from private_svc.web.states import State
from tests.private_svc.making import context

if TYPE_CHECKING:
    from private_svc.web.connection import Owner

FIRST = b"GET /first HTTP/1.1\r\nHost: x\r\n\r\n"
SECOND = b"GET /second HTTP/1.1\r\nHost: x\r\n\r\n"
THIRD = b"GET /third HTTP/1.1\r\nHost: x\r\n\r\n"


class Handler(asyncio.Protocol):
    """Notes what it gets."""

    def __init__(self) -> None:
        self.got: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        self.got.append(data)


def connected() -> tuple[Connection, Handler]:
    made = context()
    handler = Handler()
    listener = SimpleNamespace(context=made, caller_seconds=60.0, is_leaving=False, moved=lambda _: None)
    visit = made.activity.arrive("admin", made.who.of_peer("::1", lambda: ("::1",)))
    connection = Connection(handler, cast("Owner", listener), visit)
    transport = SimpleNamespace(
        set_write_buffer_limits=lambda **_: None, get_extra_info=lambda _: None, resume_reading=lambda: None
    )
    connection.connection_made(cast("asyncio.Transport", transport))
    return connection, handler


def answer(connection: Connection) -> None:
    connection.request_handed(cast("Any", SimpleNamespace()))
    assert not connection.request_ended(may_stay=True)


@pytest.mark.parametrize("cut", range(len(SECOND + THIRD) + 1))
async def test_bytes_that_come_between_an_answer_and_the_next_request_cut_no_request_short(cut: int) -> None:
    connection, handler = connected()
    pipelined = SECOND + THIRD
    connection.data_received(FIRST + pipelined[:cut])
    answer(connection)
    connection.data_received(pipelined[cut:])  # before the connection had its turn
    for _ in range(3):
        await asyncio.sleep(0)
    assert handler.got == [FIRST, SECOND]
    answer(connection)
    for _ in range(3):
        await asyncio.sleep(0)
    assert handler.got == [FIRST, SECOND, THIRD]
    answer(connection)
    assert connection.state is State.IDLE
