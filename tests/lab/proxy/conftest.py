"""A proxy on loopback with a fake platform behind it."""

from __future__ import annotations

import asyncio
import gc
import random
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from lab.proxy.app import AppProxy
from lab.proxy.reach import Patience
from shell.flytoml import AutoStop, Concurrency, Port, Service
from tests.lab.proxy.fake_machine import FakeMachine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from lab.proxy.exchange import HttpLimits
    from tests.lab.proxy.fake_machine import Serve

QUICK = Patience(attempt_seconds=0.02, notice_seconds=0.1)
"""For a Machine that never listens only: a busy core can make a good connect take longer than such an attempt."""


class Recorder:
    """An `EventLog` that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(
        self, source: str, message: str, *,
        machine_id: str = "", region: str = "", level: str = "info", last_lines: Sequence[str] = (),
    ) -> None:  # fmt: skip
        del last_lines, machine_id, region, level
        self.lines.append(f"{source}: {message}")

    def count(self, text: str) -> int:
        return sum(text in line for line in self.lines)


@dataclass
class Place:
    """Sets a proxy up, and takes everything down at the end of the test."""

    log: Recorder = field(default_factory=Recorder)
    proxies: list[AppProxy] = field(default_factory=list)
    machines: list[FakeMachine] = field(default_factory=list)
    service: Service = field(default_factory=lambda: Service(8080))
    network: dict[str, AppProxy] = field(default_factory=dict)

    def machine(self, machine_id: str, serve: Serve, *, region: str = "ams") -> FakeMachine:
        machine = FakeMachine(machine_id, serve, region=region)
        self.machines.append(machine)
        return machine

    async def proxy(
        self,
        *machines: FakeMachine,
        app_name: str = "shop",
        http: bool = True,
        proxy_proto: str = "",
        concurrency: Concurrency | None = None,
        auto_start: bool = True,
        force_https: bool = False,
        patience: Patience | None = None,
        limits: HttpLimits | None = None,
        region: str = "ams",
        regions: dict[str, str] | None = None,
    ) -> int:
        """Serve the Machines; return the port of the proxy."""
        port = Port(80, 80, ("http",) if http else (), force_https)
        if proxy_proto:
            port = Port(80, 80, ("proxy_proto",), proxy_proto_version=proxy_proto)
        self.service = Service(
            8080,
            ports=(port,),
            concurrency=concurrency or Concurrency("requests", 200, None),
            auto_stop=AutoStop.STOP,
            auto_start=auto_start,
        )
        proxy = AppProxy(
            app_name,
            [self.service],
            machines,
            region=region,
            regions=regions or {},
            log=self.log,
            network=self.network,
            clock=time.monotonic,
            rng=random.Random(7),  # noqa: S311 - the same choices every time
            patience=patience,
            limits=limits,
        )
        self.proxies.append(proxy)
        self.network[app_name] = proxy
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        await proxy.serve(listener, self.service, port)
        bound: int = listener.getsockname()[1]
        return bound


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    made = Place()
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
    try:
        async with asyncio.timeout(30):
            yield made
    finally:
        for proxy in made.proxies:
            await proxy.close()
        for machine in made.machines:
            await machine.close()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        late = (await asyncio.wait(left, timeout=5))[1] if left else set()
        assert not late, f"tasks left behind: {late}"
        gc.collect(1)  # a task that nobody looked at complains when it is collected
        assert not complaints, f"nobody took care of: {complaints}"
