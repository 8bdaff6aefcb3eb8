"""Why a service leaves: when it is idle, when a part of it fails; when it suspends instead, and what it says."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from private_svc.awake import Awake
from private_svc.departure import Departure, watch_idle_time
from private_svc.ingress import Caller, Ingress
from private_svc.suspend import Suspender
from tests.private_svc.making import FLY, context
from tests.private_svc.process import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from private_svc.context import Context
    from private_svc.web.admin import Admin

CHECK_SECONDS = 0.02
SUSPEND = f"/v1/apps/private-%3Csvc%3E/machines/{FLY['FLY_MACHINE_ID']}/suspend"


class Fly:
    """Stands for Fly behind /.fly/api; says what a test tells it to."""

    def __init__(self) -> None:
        self.answers: list[web.Response] = []
        self.asked: list[str] = []
        self.heard = asyncio.Condition()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        async with self.heard:
            self.asked.append(f"{request.method} {request.rel_url.raw_path}")
            self.heard.notify_all()
        return self.answers.pop(0) if self.answers else web.Response(text="{}")

    async def asked_times(self, count: int) -> None:
        """Wait until it was asked that often."""
        async with self.heard:
            await self.heard.wait_for(lambda: len(self.asked) >= count)


@asynccontextmanager
async def fly(path: Path) -> AsyncIterator[Fly]:
    """Answer on a Unix socket."""
    api = Fly()
    runner = web.ServerRunner(web.Server(api.answer))
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield api
    finally:
        await runner.cleanup()


class Watch:
    """An idle watch that is running."""

    def __init__(self, socket_path: Path, its_context: Context) -> None:
        self.context = its_context
        self.departure = Departure()
        self.suspender = Suspender(self.context.machine, str(socket_path))
        self.serving: asyncio.Task[Admin] = asyncio.create_task(self._serving())
        self.serve = asyncio.Event()
        self.watching = asyncio.create_task(
            watch_idle_time(self.context, self.departure, self.suspender, self.serving, CHECK_SECONDS),
            name="the idle watch",
        )
        self.departure.if_it_fails(self.watching)

    async def _serving(self) -> Admin:
        await self.serve.wait()
        raise RuntimeError("nothing is served here")

    async def ended(self) -> None:
        """End it."""
        self.serve.set()
        await asyncio.wait([self.serving])
        assert self.serving.exception() is not None
        self.watching.cancel()
        await asyncio.wait([self.watching])


@asynccontextmanager
async def watch(socket_path: Path, idle_action: str = "exit") -> AsyncIterator[Watch]:
    """Run the idle watch of a service that serves, and is idle after a second."""
    made = Watch(socket_path, context(IDLE_EXIT_SECONDS="1", IDLE_ACTION=idle_action))
    made.serve.set()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield made
    finally:
        await made.ended()


class Log(logging.Handler):
    """Waits for events of the log."""

    def __init__(self) -> None:
        super().__init__()
        self._records: asyncio.Queue[logging.LogRecord] = asyncio.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self._records.put_nowait(record)

    async def event(self, name: str) -> dict[str, object]:
        """Return the fields of the next event of that name."""
        while True:
            record = await asyncio.wait_for(self._records.get(), PATIENCE_SECONDS)
            if record.getMessage() == name:
                return dict(record.__dict__["fields"])

    def rest(self) -> list[str]:
        """Return the names of the events nobody waited for."""
        return [self._records.get_nowait().getMessage() for _ in range(self._records.qsize())]


@pytest.fixture
def log() -> Iterator[Log]:
    logger, handler = logging.getLogger("private_svc"), Log()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


async def test_an_idle_service_suspends_through_the_machines_own_api_and_stays(tmp_path: Path, log: Log) -> None:
    socket_path = tmp_path / "api"
    async with fly(socket_path) as api, watch(socket_path, "suspend") as here:
        assert str((await log.event("suspending"))["reason"]).startswith("idle for ")
        await log.event("suspending")
        await api.asked_times(2)
        assert api.asked == [f"POST {SUSPEND}"] * 2, "idle again a second later, suspended again"
        assert not here.departure.decided
        assert here.suspender.failure == ""


async def test_a_refused_suspension_is_told_kept_and_tried_again(tmp_path: Path, log: Log) -> None:
    socket_path = tmp_path / "api"
    async with fly(socket_path) as api, watch(socket_path, "suspend") as here:
        api.answers.append(web.Response(status=412, text="the Machine has swap"))
        why = (await log.event("not suspended"))["why"]
        assert why == here.suspender.failure == "the Machine's API answered 412: the Machine has swap"
        await log.event("suspending")
        await api.asked_times(2)
        assert here.suspender.failure == ""
        assert not here.departure.decided


async def test_where_there_is_no_api_the_service_says_so_and_goes_on(tmp_path: Path, log: Log) -> None:
    async with watch(tmp_path / "none", "suspend") as here:
        assert str(tmp_path / "none") in str((await log.event("not suspended"))["why"])
        assert not here.departure.decided
        assert not here.watching.done()


async def test_an_idle_service_leaves_and_says_for_how_long_it_was_idle(tmp_path: Path) -> None:
    async with watch(tmp_path / "none") as here:
        assert (await here.departure.reason()).startswith("idle for ")
        await here.watching


async def test_work_keeps_it(tmp_path: Path) -> None:
    async with watch(tmp_path / "none") as here:
        activity = here.context.activity
        visit = activity.arrive("admin", Caller(Ingress.SIX_PN, "fdaa::1"))
        activity.begin(visit, "GET /app/report", is_work=True)
        done, _ = await asyncio.wait([here.watching], timeout=1.5)
        assert not done
        assert not here.departure.decided
        activity.done(visit)
        await here.departure.reason()


async def test_nobody_is_idle_before_it_serves(tmp_path: Path) -> None:
    made = Watch(tmp_path / "none", context(IDLE_EXIT_SECONDS="1"))
    done, _ = await asyncio.wait([made.watching], timeout=1.5)
    assert not done
    assert not made.departure.decided
    await made.ended()


async def test_a_resume_is_told_once_with_its_length_whoever_noticed_it(tmp_path: Path, log: Log) -> None:
    wall_s = 0.0
    awake = Awake(lambda: 0.0, lambda: wall_s)  # with a clock that runs, a late look would lengthen what is told
    async with asyncio.timeout(PATIENCE_SECONDS):
        made = Watch(tmp_path / "none", replace(context(), awake=awake))
        made.serve.set()
        await asyncio.wait([made.serving])
        await asyncio.sleep(0)  # it has taken the time
        for suspended_seconds in (600.0, 7.0):
            wall_s += suspended_seconds
            if suspended_seconds == 600.0:
                assert awake.resumed_s is not None, "a request noticed first"
            assert await log.event("resumed") == {"suspended_seconds": suspended_seconds}
        await asyncio.wait([made.watching], timeout=CHECK_SECONDS * 5)
        assert log.rest() == []
        await made.ended()


async def test_an_idle_watch_that_fails_ends_the_service_instead_of_never_leaving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise KeyError("a bug")

    async with watch(tmp_path / "none", "suspend") as here:
        monkeypatch.setattr(here.suspender, "suspend_when_quiet", broken)
        assert await here.departure.reason() == "the idle watch failed"
