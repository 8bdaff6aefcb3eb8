from __future__ import annotations

import asyncio
import json
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from lab.machine_api import ApiError, MachineApi, action_of
from tests.lab.test_machine import Field, make

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lab.machine import Machine

WAIT_SECONDS = 10
OWN = "/v1/apps/demo/machines/m1"


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [("GET", OWN, "get"), ("GET", f"{OWN}?x=1", "get"), ("POST", f"{OWN}/stop", "stop"),
     ("POST", f"{OWN}/suspend", "suspend")],
)  # fmt: skip
def test_a_machine_may_look_at_itself_stop_and_suspend(method: str, path: str, action: str) -> None:
    assert action_of(method, path, "demo", "m1") == action


@pytest.mark.parametrize("verb", ["stop", "suspend"])
@pytest.mark.parametrize("place", ["/v1/apps/demo/machines/m2", "/v1/apps/other/machines/m1", "/v1/apps//machines/"])
def test_another_machine_or_app_is_403(place: str, verb: str) -> None:
    with pytest.raises(ApiError, match="for machine m1 of app demo only") as refused:
        action_of("POST", f"{place}/{verb}", "demo", "m1")
    assert refused.value.status == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", f"{OWN}/stop"), ("POST", OWN), ("POST", f"{OWN}/start"), ("DELETE", OWN), ("GET", "*"),
     ("POST", f"{OWN}/stop/"), ("GET", "/v1/apps/demo/machines")],
)  # fmt: skip
def test_anything_else_is_404_and_told_what_there_is(method: str, path: str) -> None:
    with pytest.raises(ApiError, match=f"expected GET {OWN}, or POST to stop or suspend below it") as refused:
        action_of(method, path, "demo", "m1")
    assert refused.value.status == 404


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[tuple[Machine, Path, Field]]:
    """A started Machine and its socket."""
    machine, notes = make(ground := Field())
    await machine.start()
    path = directory / "api"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        server = await MachineApi(machine, notes).serve(listener)
        async with asyncio.timeout(WAIT_SECONDS):
            yield machine, path, ground
        server.close()


async def ask(path: Path, request: str) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(request.encode())
    answer = await reader.read(-1)
    writer.close()
    await writer.wait_closed()
    return answer


async def call(path: Path, machine: Machine, verb: str, method: str = "POST") -> tuple[int, dict[str, Any]]:
    target = f"/v1/apps/{machine.plan.app_name}/machines/{machine.machine_id}{verb}"
    answer = await ask(path, f"{method} {target} HTTP/1.1\r\nHost: flaps\r\nContent-Length: 2\r\n\r\n{{}}")
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


async def test_a_machine_is_shown_to_itself(tmp_path: Path) -> None:
    async with serving(tmp_path) as (machine, path, _):
        status, answer = await call(path, machine, "", "GET")
    assert status == 200
    assert answer == {"id": machine.machine_id, "state": "started", "region": "ams",
                      "private_ip": machine.plan.private_ip}  # fmt: skip


async def test_a_suspend_is_answered_before_it_begins(tmp_path: Path) -> None:
    async with serving(tmp_path) as (machine, path, ground):
        ground.programs[0].may_freeze.clear()
        assert await call(path, machine, "/suspend") == (200, {"ok": True})
        ground.programs[0].may_freeze.set()
        while machine.state != "suspended":  # noqa: ASYNC110 - nothing waits for a suspension in the product
            await asyncio.sleep(0.001)


async def test_a_stop_is_answered_and_carried_out(tmp_path: Path) -> None:
    async with serving(tmp_path) as (machine, path, _):
        ended = asyncio.create_task(machine.exited())
        assert await call(path, machine, "/stop") == (200, {"ok": True})
        await ended
        assert machine.state == "stopped"


@pytest.mark.parametrize("verb", ["stop", "suspend"])
async def test_a_machine_that_is_not_started_is_412(tmp_path: Path, verb: str) -> None:
    async with serving(tmp_path) as (machine, path, _):
        await machine.suspend()
        status, answer = await call(path, machine, f"/{verb}")
    assert status == 412
    assert answer == {"error": f"machine is suspended; only a started one can {verb}"}


@pytest.mark.parametrize(
    "request_text",
    ["", "no HTTP\r\n\r\n", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\n\r\n", "x" * 200_000,
     "POST / HTTP/1.1\r\nHost: flaps\r\nContent-Length: 99999999\r\n\r\n",
     "POST / HTTP/1.1\r\nHost: flaps\r\nTransfer-Encoding: chunked\r\n\r\n"],
    ids=["nothing", "not HTTP", "cut short", "no host", "no end", "a body too long", "chunked"],
)  # fmt: skip
async def test_what_is_no_request_is_closed_and_the_next_one_is_answered(tmp_path: Path, request_text: str) -> None:
    async with serving(tmp_path) as (machine, path, _):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(request_text.encode())
        writer.write_eof()
        with suppress(ConnectionError):  # when it had not read everything
            assert await reader.read(-1) == b""
        writer.close()
        assert (await call(path, machine, "", "GET"))[0] == 200
        assert machine.state == "started"


async def test_connections_beyond_the_sixteenth_are_closed_and_the_lab_keeps_its_descriptors(tmp_path: Path) -> None:
    async with serving(tmp_path) as (machine, path, _):
        silent = [await asyncio.open_unix_connection(path) for _ in range(40)]
        reading = [asyncio.create_task(reader.read()) for reader, _ in silent]
        while sum(task.done() for task in reading) < 24:  # noqa: ASYNC110 - each is closed by itself
            await asyncio.sleep(0.001)
        assert sum(task.done() for task in reading) == 24
        for _, writer in silent:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
        target = f"/v1/apps/{machine.plan.app_name}/machines/{machine.machine_id}"
        while not (answer := await ask(path, f"GET {target} HTTP/1.1\r\nHost: flaps\r\n\r\n")):
            pass  # the lab has not seen that the others have gone
    assert answer.startswith(b"HTTP/1.1 200 ")
