"""Suspension through the Machine's own API, played by a real HTTP server on a Unix socket."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from private_svc.activity import Activity
from private_svc.ingress import Caller, Ingress
from private_svc.machine import whoami
from private_svc.suspend import Suspender, SuspendError
from tests.private_svc.machines_api import CLOSES, GRANTED, NO_HTTP, REFUSED, machines_api
from tests.private_svc.making import FLY
from tests.private_svc.process import PATIENCE_SECONDS, ROOT

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = 65534
CHECK_AS_NOBODY = f"""
import asyncio, os, sys
from private_svc.machine import whoami
from private_svc.suspend import SuspendError, Suspender
suspender = Suspender(whoami({{}}), sys.argv[1])
if os.getuid() == 0:
    os.setgroups([])
    os.setgid({NOBODY})
    os.setuid({NOBODY})
try:
    asyncio.run(suspender.check())
except SuspendError as error:
    print(error)
"""


def suspender_of(where: Path, answer_seconds: float = PATIENCE_SECONDS, *clock: float) -> Suspender:
    ticks = list(clock) or [0.0, 0.0]
    return Suspender(whoami(FLY), str(where), answer_seconds, lambda: ticks.pop(0))


async def test_a_suspension_that_is_granted_was_asked_of_this_machine_by_name(tmp_path: Path) -> None:
    suspender = suspender_of(tmp_path / "api")
    async with machines_api(tmp_path / "api") as api:
        await suspender.check()
        await suspender.suspend_when_quiet(Activity(), 1, "test")
    assert suspender.failure == ""
    app_name = quote(FLY["FLY_APP_NAME"])
    assert api.asked == [f"POST /v1/apps/{app_name}/machines/{FLY['FLY_MACHINE_ID']}/suspend HTTP/1.1"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (REFUSED, "the Machine's API answered 412: machine has too much memory"),
        (CLOSES, "Server disconnected"),
        (NO_HTTP, "api: "),
        (b"HTTP/1.1 500 Oops\r\n\r\n" + b"x" * 10_000, "answered 500: " + "x" * 500),
        (b"HTTP/1.1 500 Oops\r\n\r\n\xff\xfe", "answered 500: \ufffd\ufffd"),
    ],
)
async def test_a_refusal_is_kept_and_logged_in_the_api_s_own_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, answer: bytes, said: str
) -> None:
    suspender = suspender_of(tmp_path / "api")
    async with machines_api(tmp_path / "api", answer):
        await suspender.suspend_when_quiet(Activity(), 1, "test")
    assert said in suspender.failure
    assert len(suspender.failure) < 600
    assert caplog.records[-1].__dict__["fields"] == {"why": suspender.failure}


async def test_an_api_that_hangs_is_given_up(tmp_path: Path) -> None:
    suspender = suspender_of(tmp_path / "api", 0.05)
    async with machines_api(tmp_path / "api", None):
        await suspender.suspend_when_quiet(Activity(), 1, "test")
    assert suspender.failure.endswith("gave no answer within 0.05 s")


async def test_an_answer_that_was_slept_through_is_no_failure(tmp_path: Path) -> None:
    suspender = suspender_of(tmp_path / "api", 0.05, 1000.0, 4600.0)
    async with machines_api(tmp_path / "api", None):
        await suspender.suspend_when_quiet(Activity(), 1, "test")
    assert suspender.failure == ""


async def test_a_success_clears_the_failure_before(tmp_path: Path) -> None:
    suspender = suspender_of(tmp_path / "api", PATIENCE_SECONDS, 0.0, 0.0, 1.0)
    async with machines_api(tmp_path / "api", REFUSED) as api:
        await suspender.suspend_when_quiet(Activity(), 1, "test")
        assert suspender.failure
        api.answer = GRANTED
        await suspender.suspend_when_quiet(Activity(), 1, "test")
    assert suspender.failure == ""


async def test_where_there_is_no_api_it_says_so(tmp_path: Path) -> None:
    suspender = suspender_of(tmp_path / "api")
    with pytest.raises(SuspendError, match="only a Machine on Fly can be suspended"):
        await suspender.check()
    await suspender.suspend_when_quiet(Activity(), 1, "test")
    assert suspender.failure == f"there is no {tmp_path / 'api'} here: only a Machine on Fly can be suspended"


async def test_an_api_that_is_gone_takes_no_connection(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tmp_path / "api"))
    with pytest.raises(SuspendError, match="takes no connection: Connection refused"):
        await suspender_of(tmp_path / "api").check()


def test_a_user_who_may_not_use_the_api_is_told_to_be_root(tmp_path: Path) -> None:
    where = tmp_path / "api"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(where))
        where.chmod(0)
        listening.listen()
        command = [sys.executable, "-c", CHECK_AS_NOBODY, str(where)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    user = NOBODY if os.getuid() == 0 else os.getuid()
    assert done.stdout.startswith(f"{where} belongs to root, and this process is user {user}: run it as root"), done


async def test_it_waits_until_nobody_waits_for_an_answer(tmp_path: Path) -> None:
    activity = Activity()
    visit = activity.arrive("admin", Caller(Ingress.SIX_PN, "fdaa::9"))
    activity.begin(visit, "GET /held", is_work=True)
    async with machines_api(tmp_path / "api") as api, asyncio.timeout(PATIENCE_SECONDS):
        asking = asyncio.create_task(suspender_of(tmp_path / "api").suspend_when_quiet(activity, 300, "test"))
        await suspender_of(tmp_path / "api").check()  # long enough for a request that should not have been sent
        assert not api.asked
        activity.done(visit)
        await asking
        assert len(api.asked) == 1


async def test_it_does_not_wait_for_ever_and_says_who_is_cut_short(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    activity = Activity()
    activity.begin(activity.arrive("admin", Caller(Ingress.SIX_PN, "fdaa::9")), "GET /held", is_work=True)
    async with machines_api(tmp_path / "api") as api:
        await suspender_of(tmp_path / "api").suspend_when_quiet(activity, 0.01, "test")
    assert len(api.asked) == 1
    assert caplog.records[0].getMessage() == "suspending with requests in flight"
    assert caplog.records[0].__dict__["fields"] == {"in_flight": 1}
