"""Hold until reachable: connect to a Machine's internal port, again and again, until its app accepts.

Rules (docs/fly.md, "Sleep and wake"): readiness is a TCP connect. After 5 s the log says so; after 15 attempts, 8 to
11 s, the proxy gives up with PM05. One attempt here is a window of quick connects, so that a request waits
only a few milliseconds longer than the app needs. Many requests share one wait.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.proxy.errors import MachineExitedError, UnreachableError, refused
from lab.states import MachineState

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from lab.log import EventLog
    from lab.proxy.backend import Backend

BOUND_TO = "0.0.0.0"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the proxy holds a client; the defaults are Fly's where Fly's are known."""

    attempts: int = 15
    attempt_seconds: float = 0.6
    first_gap_seconds: float = 0.005
    last_gap_seconds: float = 0.010
    notice_seconds: float = 5.0
    start_seconds: float = 60.0
    queue_seconds: float = 10.0


class Reach:
    """Opens connections to Machines, waiting where one does not accept yet."""

    def __init__(self, log: EventLog, clock: Callable[[], float], patience: Patience) -> None:
        """Report to `log`; `clock` is monotonic, in seconds, and dates what is logged."""
        self._log = log
        self._clock = clock
        self._patience = patience
        self._waits: dict[tuple[str, int], _Wait] = {}

    async def connect(self, backend: Backend, port: int, *, cold: bool) -> socket.socket:
        """Return a connected socket to internal port `port`; raise a `CandidateError` when none can be had.

        `cold` says that this request waited for a start, so a refusal is expected and not logged as PC01.
        """
        if not cold and (backend.machine_id, port) not in self._waits:
            sock = await self._once(backend, port)
            if sock is not None:
                return sock
        while (sock := await self._shared(backend, port)) is None:
            sock = await self._once(backend, port)
            if sock is not None:
                return sock
        return sock

    async def _once(self, backend: Backend, port: int) -> socket.socket | None:
        try:
            return await dial(backend, port, self._patience.attempt_seconds)
        except ConnectionRefusedError:
            fault = refused(port)
        except TimeoutError:
            fault = f"[PC05] timed out while connecting to your instance on {BOUND_TO}:{port}"
        except OSError as error:
            fault = f"[PC06] connecting to your instance on {BOUND_TO}:{port} failed: {error}"
        if backend.state is MachineState.STARTED and (backend.machine_id, port) not in self._waits:
            self._note(backend, fault, level="error")
        return None

    async def _shared(self, backend: Backend, port: int) -> socket.socket | None:
        """Wait with everybody else; the first of them gets the connection that succeeded, the others None."""
        key = backend.machine_id, port
        wait = self._waits.get(key)
        if wait is None:
            task = asyncio.get_running_loop().create_task(self._until_accepted(backend, port))
            wait = self._waits[key] = _Wait(task)
            task.add_done_callback(lambda _: self._waits.pop(key, None))
        wait.waiting += 1
        try:
            await asyncio.wait([wait.task])
            return wait.claim()
        finally:
            wait.waiting -= 1
            if not wait.waiting:
                wait.abandon()

    async def _until_accepted(self, backend: Backend, port: int) -> socket.socket:
        loop = asyncio.get_running_loop()
        exited = loop.create_task(backend.exited())
        attempts = loop.create_task(self._attempts(backend, port))
        sock = None
        try:
            await asyncio.wait([exited, attempts], return_when=asyncio.FIRST_COMPLETED)
            if not attempts.done():
                exited.result()
                raise MachineExitedError(BOUND_TO, port)
            sock = attempts.result()
            return sock
        finally:
            exited.cancel()
            attempts.add_done_callback(_discard if sock is None else _keep)
            attempts.cancel()

    async def _attempts(self, backend: Backend, port: int) -> socket.socket:
        began = self._clock()
        start = asyncio.get_running_loop().time()
        noticed = False
        for attempt in range(1, self._patience.attempts + 1):
            sock = await self._window(backend, port, start + attempt * self._patience.attempt_seconds)
            waited = self._clock() - began
            if sock is not None:
                self._note(backend, f"machine became reachable in {duration(waited)}")
                return sock
            if waited >= self._patience.notice_seconds and not noticed:
                noticed = True
                self._note(
                    backend,
                    f"waiting for machine to be reachable on {BOUND_TO}:{port} (waited {waited:.1f}s so far)",
                )
        raise UnreachableError(self._patience.attempts, self._clock() - began)

    async def _window(self, backend: Backend, port: int, until: float) -> socket.socket | None:
        """Make one attempt: connect again and again until the loop's clock shows `until`."""
        loop = asyncio.get_running_loop()
        gap_seconds = self._patience.first_gap_seconds
        while (left := until - loop.time()) > 0:
            with contextlib.suppress(OSError):
                return await dial(backend, port, left)
            await asyncio.sleep(max(0.0, min(gap_seconds, until - loop.time())))
            gap_seconds = min(gap_seconds * 1.1, self._patience.last_gap_seconds)
        return None

    def _note(self, backend: Backend, message: str, *, level: str = "info") -> None:
        self._log("proxy", message, machine_id=backend.machine_id, region=backend.region, level=level)


async def dial(backend: Backend, port: int, seconds: float) -> socket.socket:
    """Connect once; raise `OSError`, which `TimeoutError` is one of."""
    endpoint = backend.endpoint(port)
    sock = backend.dial(port)
    try:
        async with asyncio.timeout(seconds):
            await asyncio.get_running_loop().sock_connect(sock, endpoint)
        _refuse_itself(sock, endpoint)
    except BaseException:
        sock.close()
        raise
    return sock


def _refuse_itself(sock: socket.socket, endpoint: tuple[str, int]) -> None:
    """On one shared loopback a connect to a free ephemeral port can meet itself."""
    if sock.getsockname() == endpoint:
        raise ConnectionRefusedError("the socket connected to itself")


def duration(seconds: float) -> str:
    """Return a duration as Fly logs it: `36ms`, `4.50s`."""
    return f"{seconds * 1000:.0f}ms" if seconds < 1 else f"{seconds:.2f}s"


class _Wait:
    """One shared wait and who is in it."""

    def __init__(self, task: asyncio.Task[socket.socket]) -> None:
        self.task = task
        self.waiting = 0
        self._claimed = False

    def claim(self) -> socket.socket | None:
        if self.task.cancelled():
            return None
        sock = self.task.result()
        if self._claimed:
            return None
        self._claimed = True
        return sock

    def abandon(self) -> None:
        self.task.add_done_callback(_keep if self._claimed else _discard)
        self.task.cancel()


def _discard(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


def _keep(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled():
        task.exception()
