"""AUTH: whom your own check lets in, what it covers, and that nobody comes in when it fails."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from private_svc.ingress import Caller, Ingress
from private_svc.web import auth
from private_svc.web.auth import failing_closed
from tests.private_svc.making import FLY
from tests.private_svc.process import run
from tests.private_svc.site import PROXY, Answer, site

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "correct-horse-battery-staple"  # noqa: S105 - it opens nothing but this test
CALLER = Caller(Ingress.SIX_PN, "fdaa:0:18::9")
CHECK = """
from aiohttp import web

asked = []

async def check(request, caller):
    asked.append((request.path, caller.ingress.value))
    name = request.headers.get("X-User")
    if name is None:
        return web.Response(status=401, text="who are you?", headers={"WWW-Authenticate": 'Basic realm="team"'})
    request["user"] = name
    return None

async def greet(request):
    websocket = web.WebSocketResponse()
    if websocket.can_prepare(request):
        await websocket.prepare(request)
        await websocket.send_str(request["user"])
        return websocket
    return web.Response(text=request["user"])

def make():
    web_app = web.Application()
    web_app.router.add_get("/", greet)
    return web_app
"""
UPGRADE = (
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write a module with a check and an application; return its name."""
    name = f"team_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(CHECK)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def logged(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    return [record.__dict__["fields"] for record in caplog.records if record.getMessage() == event]


@pytest.mark.parametrize("path", ["/", "/api/status", "/whoami", "/static/panel.css", "/nope", "/app/", "/healthz/"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
async def test_nobody_passes_without_the_login(team: str, path: str, method: str) -> None:
    async with site(AUTH=f"{team}:check", APP=f"{team}:make") as here:
        answer = await here.ask(path, method=method)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Basic realm="team"'
    assert answer.headers["x-machine-id"] == FLY["FLY_MACHINE_ID"]


async def test_health_checks_need_no_login_and_the_check_is_not_asked(team: str) -> None:
    async with site(AUTH=f"{team}:check") as here:
        assert (await here.ask("/healthz")).status == 200
        assert (await here.ask("/%68ealthz")).text == "ok\n", "the same path, and nothing else behind it"
        assert sys.modules[team].__dict__["asked"] == []


async def test_who_is_refused_by_the_guard_is_never_asked_for_a_login(team: str) -> None:
    async with site(PROXY, AUTH=f"{team}:check") as here:
        assert (await here.ask("/", "Fly-Client-IP: 203.0.113.7")).status == 403
        assert (await here.ask("/", "Fly-Client-IP: fdaa:0:18::9", "Expect: else")).status == 417
        assert sys.modules[team].__dict__["asked"] == []
        assert (await here.ask("/", "Fly-Client-IP: fdaa:0:18::9", "X-User: ann")).status == 200
        assert sys.modules[team].__dict__["asked"] == [("/", "flycast")]


async def test_who_is_refused_does_not_keep_an_idle_machine_up(team: str) -> None:
    async with site(AUTH=f"{team}:check") as here:
        before_s = here.activity.last_work_s
        for headers, status in (((), 401), (("X-User: ann", "Expect: else"), 417)):
            assert (await here.ask("/", *headers)).status == status
        assert here.activity.last_work_s == before_s
        assert (await here.ask("/", "X-User: ann")).status == 200
        assert here.activity.last_work_s > before_s


async def test_the_user_is_known_to_handlers_and_in_the_log(team: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "private_svc")
    async with site(AUTH=f"{team}:check", APP=f"{team}:make", ADMIN_TOKEN=TOKEN) as here:
        assert (await here.ask("/app/", "X-User: ann")).text == "ann"
        assert (await here.ask("/app/")).status == 401
        long_name = f"X-User: {'n' * 5000}"
        sent = await here.ask("/api/sleep", long_name, f"X-Admin-Token: {TOKEN}", "Content-Length: 0", method="POST")
        assert sent.status == 202
    assert [entry.get("user", "") for entry in logged(caplog, "request")] == ["ann", "", "n" * 100]
    (audit,) = logged(caplog, "audit")
    assert (audit["outcome"], audit["user"]) == ("accepted", "n" * 100)


async def test_a_websocket_opens_with_the_login_alone(team: str) -> None:
    async with site(AUTH=f"{team}:check", APP=f"{team}:make") as here:
        for headers, status in (((), b"401"), (("X-User: ann",), b"101")):
            reader, writer = await here.open()
            lines = ["GET /app/ HTTP/1.1", "Host: x", "Connection: Upgrade", *UPGRADE, *headers, "", ""]
            writer.write("\r\n".join(lines).encode())
            assert (await reader.readline()).split()[1] == status
            writer.close()


async def test_behind_a_basic_login_the_action_token_has_a_header_of_its_own(team: str) -> None:
    async with site(AUTH=f"{team}:check", ADMIN_TOKEN=TOKEN) as here:
        login = ("X-User: ann", "Authorization: Basic YW5uOnB3", "Content-Length: 0")
        assert (await here.ask("/api/sleep", *login, method="POST")).status == 401
        assert not here.departure.decided
        assert (await here.ask("/api/sleep", *login, f"X-Admin-Token: {TOKEN}", method="POST")).status == 202
        assert here.departure.decided


async def test_the_token_alone_is_no_login(team: str) -> None:
    async with site(AUTH=f"{team}:check", ADMIN_TOKEN=TOKEN) as here:
        assert (await here.ask("/api/sleep", f"X-Admin-Token: {TOKEN}", method="POST")).status == 401
        assert not here.departure.decided


async def raising(_: web.BaseRequest, __: Caller) -> web.Response | None:
    raise ValueError("the secret of the check")


async def raising_out_of_time(_: web.BaseRequest, __: Caller) -> web.Response | None:
    raise TimeoutError("the secret of the check")


async def hanging(_: web.BaseRequest, __: Caller) -> web.Response | None:
    await asyncio.Event().wait()
    return None


async def deaf(_: web.BaseRequest, __: Caller) -> web.Response | None:
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    return None


async def mistaken(_: web.BaseRequest, __: Caller) -> Any:
    return True


async def mistaken_the_other_way(_: web.BaseRequest, __: Caller) -> Any:
    return False


async def blocking(_: web.BaseRequest, __: Caller) -> web.Response | None:
    time.sleep(0.02)  # noqa: ASYNC251 - nobody can cancel it, and it is too late all the same
    return None


async def cancelling(_: web.BaseRequest, __: Caller) -> web.Response | None:
    raise asyncio.CancelledError


CHECKS = [raising, raising_out_of_time, hanging, deaf, blocking, cancelling, mistaken, mistaken_the_other_way]


@pytest.mark.parametrize("check", CHECKS, ids=lambda it: it.__name__)
async def test_a_check_that_fails_or_has_no_answer_in_time_lets_nobody_in_and_tells_only_the_log(
    check: Any, caplog: pytest.LogCaptureFixture
) -> None:
    refusal = await failing_closed(check, 0.01)(make_mocked_request("GET", "/"), CALLER)
    assert isinstance(refusal, web.Response)
    assert (refusal.status, refusal.text) == (
        503,
        "503: the login check failed; the log of the service has the reason\n",
    )
    (entry,) = logged(caplog, "AUTH failed, the caller was refused")
    assert entry["client"] == CALLER.client
    assert entry["reason"]


async def test_a_refusal_that_was_sent_before_cannot_be_sent_again(caplog: pytest.LogCaptureFixture) -> None:
    once = web.Response(status=401)

    async def check(_: web.BaseRequest, __: Caller) -> web.Response:
        return once

    asked = failing_closed(check)
    request = make_mocked_request("GET", "/")
    assert await asked(request, CALLER) is once
    await once.prepare(request)
    refusal = await asked(make_mocked_request("GET", "/"), CALLER)
    assert refusal is not None
    assert refusal.status == 503
    assert "a new Response for each request" in logged(caplog, "AUTH failed, the caller was refused")[0]["reason"]


async def test_a_check_may_raise_its_answer() -> None:
    async def check(_: web.BaseRequest, __: Caller) -> web.Response | None:
        raise web.HTTPFound("/login")

    refusal = await failing_closed(check)(make_mocked_request("GET", "/"), CALLER)
    assert refusal is not None
    assert (refusal.status, refusal.headers["Location"]) == (302, "/login")


async def test_a_broken_check_shows_callers_nothing_of_its_insides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"broken_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text("async def check(request, caller): raise ValueError('hunter2')\n")
    monkeypatch.syspath_prepend(tmp_path)
    async with site(AUTH=f"{name}:check") as here:
        for path in ("/", "/whoami"):
            raw = await here.send(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            assert Answer(raw).status == 503
            assert b"hunter2" not in raw
        assert (await here.ask("/healthz")).status == 200


async def test_an_object_can_be_the_check() -> None:
    class Team:
        async def __call__(self, _: web.BaseRequest, __: Caller) -> None:
            return None

    sys.modules["team_of_an_object"] = module = type(sys)("team_of_an_object")
    module.__dict__["check"] = Team()
    try:
        assert await (await auth.find("team_of_an_object", "check"))(make_mocked_request("GET", "/"), CALLER) is None
    finally:
        del sys.modules["team_of_an_object"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected check in login_of_a_test"),
        ("check = 7", "expected async def check(request, caller)"),
        ("def check(request, caller): return None", "expected async def check(request, caller)"),
        ("raise OSError('no directory service')", "OSError: no directory service"),
    ],
)
def test_a_check_that_cannot_be_used_is_status_2_and_says_why(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "login_of_a_test.py").write_text(text)
    done = run(AUTH="login_of_a_test:check", PORT="0", HELLO_PORT="0", METRICS_PORT="0", PYTHONPATH=str(tmp_path))
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("AUTH: ")
    assert why in done.stderr.splitlines()[0]
