"""A fault in one conversation with the lab is an error in its log, and the next conversation goes on."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from lab import control, machine_api
from lab.background import Background
from lab.nameserver import NameServer
from tests.lab.fuzz.control import Lab as AskedLab
from tests.lab.test_background import BROKEN, WAIT_SECONDS, broken, broken_later, lab_that_is_up
from tests.lab.test_machine import Notes

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


async def test_a_fault_in_one_request_to_the_machines_api_is_an_error_and_the_next_one_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with lab_that_is_up(tmp_path) as (lab, ground, notes):
        (machine_id,) = lab.machines
        own = f"/v1/apps/demo/machines/{machine_id}"

        async def ask() -> bytes:
            reader, writer = await asyncio.open_unix_connection(ground.directory / machine_id)
            writer.write(f"GET {own} HTTP/1.1\r\nHost: flaps\r\n\r\n".encode())
            answer = await reader.read()
            writer.close()
            return answer

        with monkeypatch.context() as patch:
            patch.setattr(machine_api, "parse_request", broken)
            assert await lab.background.beside(ask()) == b""
        assert (await lab.background.beside(ask())).startswith(b"HTTP/1.1 200 ")
    assert [line for line in notes.lines if line.startswith(f"lab [error] /.fly/api: a request failed: {BROKEN}")]


async def test_a_fault_in_one_conversation_with_the_nameserver_is_an_error_and_the_next_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with lab_that_is_up(tmp_path) as (lab, ground, notes):

        async def ask() -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", ground.tcp_port)
            writer.write(b"\0\x0c" + bytes(12))
            answer = await reader.read(1)
            writer.close()
            return answer

        with monkeypatch.context() as patch:
            patch.setattr(NameServer, "_respond", broken)
            assert await lab.background.beside(ask()) == b""
        assert await lab.background.beside(ask()) == b"\0"
    assert [line for line in notes.lines if line.startswith(f"dns [error] connection failed: {BROKEN}")]


async def test_a_fault_in_one_caller_s_turn_at_the_door_is_an_error_and_the_next_one_is_let_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    background = Background(notes := Notes())
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
        door.bind("")
        door.listen()
        door.setblocking(False)

        async def ask() -> bytes:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as caller:
                caller.setblocking(False)
                await loop.sock_connect(caller, door.getsockname())
                await loop.sock_sendall(caller, b'{"do": "status"}')
                return await loop.sock_recv(caller, 1000)

        no_file_left = OSError(24, "Too many open files")
        accepts = [no_file_left]
        accept = loop.sock_accept

        async def accept_later(listener: socket.socket) -> tuple[socket.socket, object]:
            if accepts:
                raise accepts.pop()
            return await accept(listener)

        monkeypatch.setattr(loop, "sock_accept", accept_later)
        monkeypatch.setattr(control, "_NO_ROOM_PAUSE_SECONDS", 0)
        background.keep("the door", control.serve(door, AskedLab(), notes))
        async with asyncio.timeout(WAIT_SECONDS):
            with monkeypatch.context() as patch:
                patch.setattr(control, "_send", broken_later)
                assert await background.beside(ask()) == b""
            assert await background.beside(ask()) == b'{"apps": []}'
        await background.close()
    assert notes.lines[0] == "lab [error] a caller cannot be let in: [Errno 24] Too many open files"
    assert [
        line for line in notes.lines if line.startswith(f"lab [error] a caller of the lab was not answered: {BROKEN}")
    ]
