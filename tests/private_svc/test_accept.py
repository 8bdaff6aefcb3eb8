from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from private_svc import accept
from private_svc.accept import Acceptor
from tests.private_svc.process import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from private_svc.accept import Address


class Failing(socket.socket):
    """A listening socket whose next accepts fail as told."""

    failures: list[int]

    def _accept(self) -> tuple[int, tuple[str, int]]:
        if self.failures:
            number = self.failures.pop(0)
            raise OSError(number, os.strerror(number))
        return super()._accept()  # type: ignore[misc, no-any-return]


class Taken:
    """Collects connections."""

    def __init__(self) -> None:
        self.connections: list[socket.socket] = []
        self.addresses: list[Address] = []
        self.any = asyncio.Event()

    def __call__(self, connection: socket.socket, address: Address) -> None:
        self.connections.append(connection)
        self.addresses.append(address)
        self.any.set()


@pytest.fixture
def listening() -> Iterator[Failing]:
    with Failing() as made:
        made.failures = []
        made.bind(("127.0.0.1", 0))
        made.listen()
        made.setblocking(False)
        yield made


def no_room() -> bool:
    """Keep everybody."""
    return False


def close_all(connections: list[socket.socket]) -> None:
    for connection in connections:
        connection.close()


async def test_out_of_file_descriptors_it_waits_says_so_once_and_goes_on(
    listening: Failing, caplog: pytest.LogCaptureFixture
) -> None:
    taken = Taken()
    listening.failures = [errno.EMFILE, errno.ENFILE]
    loop = asyncio.get_running_loop()
    acceptor = Acceptor(loop, loop, listening, taken, no_room, limit=9, socket_type=socket.socket)
    acceptor.start()
    with socket.create_connection(listening.getsockname()):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await taken.any.wait()
    await acceptor.finish()
    assert [record.getMessage() for record in caplog.records] == ["cannot accept"]
    close_all(taken.connections)


@pytest.mark.parametrize("number", accept.CALLER_HAS_GONE, ids=errno.errorcode.get)
async def test_a_caller_that_has_gone_again_does_not_hold_up_the_next(listening: Failing, number: int) -> None:
    taken = Taken()
    listening.failures = [number] * 3
    loop = asyncio.get_running_loop()
    acceptor = Acceptor(loop, loop, listening, taken, no_room, limit=9, socket_type=socket.socket)
    with socket.create_connection(listening.getsockname()):
        await acceptor.finish()
    assert len(taken.connections) == 1
    close_all(taken.connections)


async def test_an_error_of_the_listening_socket_itself_is_not_retried(listening: Failing) -> None:
    listening.failures = [errno.EINVAL]
    loop = asyncio.get_running_loop()
    acceptor = Acceptor(loop, loop, listening, Taken(), no_room, limit=9, socket_type=socket.socket)
    with pytest.raises(OSError, match="Invalid argument"):
        await acceptor.finish()


async def test_finishing_takes_everybody_who_is_queued_whatever_the_limit_and_may_be_repeated(
    listening: Failing,
) -> None:
    taken = Taken()
    loop = asyncio.get_running_loop()
    acceptor = Acceptor(loop, loop, listening, taken, no_room, limit=1, socket_type=socket.socket)
    acceptor.start()
    callers = [socket.create_connection(listening.getsockname()) for _ in range(50)]
    await acceptor.finish()
    await acceptor.finish()
    assert len(taken.connections) == 50
    assert listening.fileno() < 0
    close_all(callers + taken.connections)


async def test_a_caller_that_has_reset_its_connection_still_has_the_address_it_came_from(listening: Failing) -> None:
    taken = Taken()
    loop = asyncio.get_running_loop()
    with socket.create_connection(listening.getsockname()) as caller:
        address = caller.getsockname()
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await Acceptor(loop, loop, listening, taken, no_room, limit=9, socket_type=socket.socket).finish()
    with pytest.raises(OSError, match="not connected"):
        taken.connections[0].getpeername()
    assert taken.addresses == [address]
    close_all(taken.connections)


@pytest.mark.parametrize("is_leaving", [False, True])
async def test_out_of_file_descriptors_idle_connections_are_closed_for_a_newcomer(
    listening: Failing, monkeypatch: pytest.MonkeyPatch, *, is_leaving: bool
) -> None:
    monkeypatch.setattr(accept, "NO_ROOM_PAUSE_SECONDS", PATIENCE_SECONDS * 2)
    taken, idle = Taken(), [object(), object(), object()]

    def make_room() -> bool:
        return bool(idle and idle.pop())

    loop = asyncio.get_running_loop()
    acceptor = Acceptor(loop, loop, listening, taken, make_room, limit=9, socket_type=socket.socket)
    listening.failures = [errno.EMFILE] * 3
    with socket.create_connection(listening.getsockname()):
        if not is_leaving:
            acceptor.start()
            async with asyncio.timeout(PATIENCE_SECONDS):
                await taken.any.wait()
        else:
            await acceptor.finish()
            assert taken.connections
    assert not idle
    await acceptor.finish()
    close_all(taken.connections)
