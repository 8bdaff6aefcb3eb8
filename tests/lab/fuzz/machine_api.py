"""Requests to `/.fly/api` in the lab: answered in JSON or hung up on, and only a whole request for itself acts."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import tempfile
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lab.machine_api import MachineApi
from lab.states import MachineState
from tests.fuzz.loops import on_a_loop
from tests.fuzz.target import Broken, Target
from tests.lab.test_machine import Field, make

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable

    from tests.fuzz.loops import AsyncCheck

_OWN = b"/v1/apps/demo/machines/"
_STATUSES = {200, 403, 404, 412}


@asynccontextmanager
async def _serving() -> AsyncIterator[AsyncCheck]:
    machine, notes = make(Field())
    own = f"/v1/apps/{machine.plan.app_name}/machines/{machine.machine_id}"
    acts = re.compile(rb"POST (https?://[^/ ]*)?%b/(stop|suspend)[? ]" % re.escape(own.encode()), re.IGNORECASE)
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
        path = Path(directory, "api")
        listener.bind(str(path))
        listener.listen()
        server = await MachineApi(machine, notes).serve(listener)

        async def check(data: bytes) -> Hashable:
            data = data.replace(b"OWN", own.encode())
            await machine.start()
            answer = await _ask(path, data)
            if machine.state is not MachineState.STARTED and not acts.search(data):
                raise Broken(f"now it is {machine.state}")
            if not answer:
                return None
            head, _, body = answer.partition(b"\r\n\r\n")
            if (status := int(head.split()[1])) not in _STATUSES:
                raise Broken(f"status {status}")
            json.loads(body)
            return status, b"state" in body

        try:
            yield check
        finally:
            server.close()


async def _ask(path: Path, data: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    answer = b""
    with suppress(ConnectionError):  # it had not read everything
        writer.write(data)
        writer.write_eof()
        answer = await reader.read(-1)
    writer.close()
    return answer


TARGET = Target("machine_api", lambda: on_a_loop(_serving()), 200)
