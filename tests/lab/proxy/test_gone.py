"""A peer may go at any moment: that is no error, and nothing is written about it."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from lab.proxy.link import Link
from tests.lab.proxy.talk import WAIT_SECONDS, echo, get
from tests.lab.proxy.test_wake import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.proxy.conftest import Place

MORE_THAN_THE_KERNEL_TAKES = b"x" * 16_000_000


@contextmanager
def complaints() -> Iterator[list[dict[str, Any]]]:
    """Collect what callbacks of the event loop raise."""
    found: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, complaint: found.append(complaint))
    yield found
    loop.set_exception_handler(None)


async def linked() -> tuple[Link, socket.socket]:
    """Return a link and its peer, a plain socket that the test reads and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    ours.setblocking(False)
    theirs.setblocking(False)
    _, link = await asyncio.get_running_loop().create_connection(Link, sock=ours)
    return link, theirs


def reset(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


async def read_all(peer: socket.socket) -> bytes:
    received = bytearray()
    async with asyncio.timeout(WAIT_SECONDS):
        while piece := await asyncio.get_running_loop().sock_recv(peer, 1 << 20):
            received += piece
    return bytes(received)


async def test_a_link_that_has_closed_and_sent_everything_may_be_aborted() -> None:
    link, peer = await linked()
    link.write(MORE_THAN_THE_KERNEL_TAKES)
    link.close()
    with peer:
        assert await read_all(peer) == MORE_THAN_THE_KERNEL_TAKES
    await until(lambda: link.lost)
    link.abort()
    link.cut()
    link.write_eof()
    link.close()


async def test_half_a_link_closes_once_everything_is_sent() -> None:
    link, peer = await linked()
    link.write(MORE_THAN_THE_KERNEL_TAKES)
    link.write_eof()
    with peer:
        assert await read_all(peer) == MORE_THAN_THE_KERNEL_TAKES
        await asyncio.get_running_loop().sock_sendall(peer, b"thank you")
        await link.more(WAIT_SECONDS)
        assert link.received == b"thank you"
    link.close()
    await until(lambda: link.lost)


async def test_half_a_link_may_close_when_its_peer_has_reset_it() -> None:
    with complaints() as found:
        link, peer = await linked()
        reset(peer)
        link.write_eof()
        await until(lambda: link.lost)
    assert not found


async def test_half_a_link_may_close_when_its_peer_resets_it_in_the_moment_that_everything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with complaints() as found:
        link, peer = await linked()
        link.write(MORE_THAN_THE_KERNEL_TAKES)
        link.write_eof()
        resume_writing = link.resume_writing

        def reset_first() -> None:
            if peer.fileno() >= 0:
                reset(peer)
            resume_writing()

        monkeypatch.setattr(link, "resume_writing", reset_first)
        received = 0
        while peer.fileno() >= 0:
            await asyncio.sleep(0)
            if peer.fileno() >= 0 and received < len(MORE_THAN_THE_KERNEL_TAKES):
                received += len(await asyncio.get_running_loop().sock_recv(peer, 1 << 20))
        await until(lambda: link.lost)
    assert not found


@pytest.mark.parametrize(
    "sent",
    [
        b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
        b"GET / HT",
        b"\x16\x03\x01\x00\n\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
    ],
    ids=["CONNECT", "half a head", "a handshake of TLS", "another version"],
)
@pytest.mark.parametrize("how", ["closes", "resets"])
async def test_a_client_that_asks_wrongly_and_leaves_is_no_error(place: Place, sent: bytes, how: str) -> None:
    machine = place.machine("m1", echo)
    await machine.start()
    port = await place.proxy(machine)
    for _ in range(20):
        client = socket.create_connection(("127.0.0.1", port))
        await until(lambda: "1 connections" in repr(place.proxies[0]))
        client.send(sent)
        if how == "resets":
            reset(client)
        client.close()
        await until(lambda: "0 connections" in repr(place.proxies[0]))
    assert (await get(port)).status == 200
    assert place.log.lines == []
