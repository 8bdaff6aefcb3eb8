"""Your own application: how it is found, where it stands, how it leaves, and what is said when it fails."""

from __future__ import annotations

import asyncio
import socket
import sys
import textwrap
from importlib import import_module
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession, WSCloseCode, WSMsgType

from tests.private_svc.making import FLY
from tests.private_svc.process import PATIENCE_SECONDS, Running, run
from tests.private_svc.site import PROXY, Answer, site, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from aiohttp.pytest_plugin import AiohttpClient

    from tests.private_svc.site import Site

    Write = Callable[[str], str]

OWN = {
    "Content-Security-Policy": "default-src 'self'",
    "Referrer-Policy": "unsafe-url",
    "X-Content-Type-Options": "sniff",
    "Server": "Shop/1",
}
HEAD = f"from aiohttp import web\nfrom private_svc.web.caller import caller_of\nOWN = {OWN}\n"
APP = """
seen = []

async def index(request):
    return web.Response(text=f"{request.path} {caller_of(request).ingress} {caller_of(request).client}\\n")

async def change(request):
    seen.append(await request.text())
    return web.Response(status=201)

async def own_headers(request):
    return web.Response(headers={**OWN, "X-Machine-Id": "forged", "Server-Timing": "forged"})

async def echo(request):
    websocket = web.WebSocketResponse()
    await websocket.prepare(request)
    async for message in websocket:
        await websocket.send_str(message.data)
    seen.append("websocket closed")
    return websocket

@web.middleware
async def stamp(request, handler):
    response = await handler(request)
    if not response.prepared:
        response.headers["X-Own"] = "yes"
    return response

async def life(web_app):
    seen.append("started")
    yield
    seen.append("cleaned up")

async def shutting_down(web_app):
    seen.append("shutting down")

def make():
    web_app = web.Application(middlewares=[stamp])
    web_app.cleanup_ctx.append(life)
    web_app.on_shutdown.append(shutting_down)
    web_app.add_routes([web.get("/", index), web.post("/", change), web.get("/own", own_headers), web.get("/ws", echo)])
    return web_app

async def make_async():
    return make()
"""
BROKEN = {
    "a module that is not there": ("", "nowhere:make", "there is no module nowhere"),
    "a package that is not there": ("", "nowhere.web:make", "there is no module nowhere"),
    "an import that fails inside": ("import nothing_of_the_kind", "", "ModuleNotFoundError: No module named 'nothing_"),
    "a module that does not compile": ("def make(:", "", "SyntaxError: "),
    "a module that exits": ("raise SystemExit('no database')", "", "SystemExit: no database"),
    "no such factory": ("", "", "expected make in broken, got a module without that name"),
    "a factory that is no function": ("make = 7", "", "got 7"),
    "a factory that needs more": ("def make(settings): ...", "", "missing 1 required positional argument"),
    "a factory that raises": ("def make(): raise KeyError('DATABASE_URL')", "", "failed: KeyError: 'DATABASE_URL'"),
    "an async factory that raises": ("async def make(): raise OSError('no route')", "", "failed: OSError: no route"),
    "a factory that exits": ("def make(): raise SystemExit(0)", "", "failed: SystemExit: 0"),
    "a factory that makes something else": ("def make(): return {}", "", "from {name}, got dict"),
    "a factory that makes nothing": ("def make(): pass", "", "from {name}, got NoneType"),
    "an application in use": (
        "def make():\n  a = web.Application()\n  a.freeze()\n  return a",
        "",
        "expected a new application from {name}",
    ),
    "a start that fails": (
        """
async def start(web_app): raise OSError('no database')
def make():
    web_app = web.Application()
    web_app.on_startup.append(start)
    return web_app
""",
        "",
        "{name} did not start: OSError: no database",
    ),
}


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write modules that this process can import, and forget them afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    names: list[str] = []

    def as_module(text: str) -> str:
        names.append(f"mounted_{len(names)}_{tmp_path.name}")
        (tmp_path / f"{names[-1]}.py").write_text(HEAD + textwrap.dedent(text))
        return names[-1]

    yield as_module
    for name in names:
        sys.modules.pop(name, None)


def seen(module: str) -> list[object]:
    """Return what the application of that module noted."""
    noted: list[object] = sys.modules[module].__dict__["seen"]
    return noted


@pytest.mark.parametrize("factory", ["make", "make_async"])
async def test_an_application_answers_under_its_prefix_and_keeps_its_middlewares(write: Write, factory: str) -> None:
    async with site(APP=f"{write(APP)}:{factory}") as here:
        answer = await here.ask("/app/")
        assert (answer.status, answer.text) == (200, "/app/ loopback ::1\n")
        assert answer.headers["x-own"] == "yes"
        assert (await here.ask("/app/nope")).status == 404
        assert (await here.ask("/")).status == 200, "the panel is where it was"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_without_the_slash_the_caller_is_sent_to_it(write: Write, method: str) -> None:
    async with site(APP=f"{write(APP)}:make") as here:
        answer = await here.ask("/app?page=2", method=method)
        assert (answer.status, answer.headers["location"]) == (307, "/app/?page=2")
        assert (await here.ask("/apple")).status == 404


async def test_without_an_application_there_is_nothing_at_app() -> None:
    async with site() as here:
        assert [(await here.ask(path)).status for path in ("/app", "/app/", "/app/x")] == [404] * 3


async def test_it_stands_behind_the_guard(write: Write) -> None:
    async with site(PROXY, APP=f"{write(APP)}:make") as here:
        assert (await here.ask("/app/", "Fly-Client-IP: 203.0.113.7")).status == 403
        assert (await here.ask("/app", "Fly-Client-IP: 203.0.113.7")).status == 403
        answer = await here.ask("/app/", "Fly-Client-IP: fdaa:0:18::9")
        assert answer.text == "/app/ flycast fdaa:0:18::9\n"
        for name in ("x-machine-id", "server-timing", "x-content-type-options"):
            assert name in answer.headers


async def test_a_name_that_is_not_ours_never_reaches_it(write: Write) -> None:
    async with site(APP=f"{write(APP)}:make") as here:
        reader, writer = await here.open()
        writer.write(b"GET /app/ HTTP/1.1\r\nHost: rebound.example.com\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 421 ")


async def test_its_own_headers_are_kept_and_else_it_cannot_be_framed(write: Write) -> None:
    async with site(APP=f"{write(APP)}:make") as here:
        own = (await here.ask("/app/own")).headers
        others = (await here.ask("/app/")).headers
    assert {name: own[name.lower()] for name in OWN} == OWN
    assert own["x-machine-id"] == FLY["FLY_MACHINE_ID"], "the proof is always the service's"
    assert "age;dur=" in own["server-timing"]
    assert "frame-ancestors 'none'" in others["content-security-policy"]
    assert (others["referrer-policy"], others["x-content-type-options"]) == ("same-origin", "nosniff")
    assert others["server"] == "private-svc", "and not which aiohttp it is"


@pytest.mark.parametrize("path", ["/app/", "/"])
@pytest.mark.parametrize("limit", [10, 3_000_000])
async def test_its_limit_for_bodies_holds_in_both_directions(write: Write, path: str, limit: int) -> None:
    module = write(f"""
        async def size(request):
            return web.Response(text=str(len(await request.read())))
        def make():
            web_app = web.Application(client_max_size={limit})
            web_app.router.add_post("/", size)
            return web_app
    """)
    async with site(APP=f"{module}:make", APP_PATH=path) as here:
        for size, status in ((limit, 200), (limit + 1, 413)):
            reader, writer = await here.open()
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n"
            writer.write(head.encode() + bytes(size))
            assert Answer(await reader.read()).status == status, size


@pytest.mark.parametrize("path", ["/shop/", "/shop/admin/"])
async def test_it_can_be_mounted_elsewhere(write: Write, path: str) -> None:
    async with site(APP=f"{write(APP)}:make", APP_PATH=path) as here:
        assert (await here.ask(path)).text == f"{path} loopback ::1\n"
        assert (await here.ask(path.rstrip("/"))).headers["location"] == path
        assert (await here.ask("/app/")).status == 404
        assert (await here.ask("/")).text.startswith("Machine "), "the panel is where it was"


async def test_it_can_have_every_path_and_then_all_that_is_ours_but_healthz_is_elsewhere(write: Write) -> None:
    text = APP.replace('web.get("/ws", echo)', 'web.get("/ws", echo), web.get("/{tail:.*}", index)')
    async with site(APP=f"{write(text)}:make", APP_PATH="/") as here:
        for path in (
            "/",
            "/whoami",
            "/api/status",
            "/static/panel.css",
            "/flycast-probe.pyz",
            "/app/",
            "/_x",
            "/healthz/",
        ):
            assert (await here.ask(path)).text == f"{path} loopback ::1\n"
        assert (await here.ask("/healthz")).text == "ok\n"
        assert (await here.ask("/_/")).text.startswith("Machine ")
        assert (await here.ask("/_?a=1")).headers["location"] == "/_/?a=1"
        assert (await here.ask("/%5F/whoami")).status == (await here.ask("/_/whoami")).status == 200
        assert (await here.ask("/_/api/status")).text.startswith('{"schema_version"')
        assert (await here.ask("/_/static/panel.css")).status == 200
        assert (await here.ask("/_/nope")).status == 404
        assert "no-referrer" in (await here.ask("/_/nope")).headers["referrer-policy"]


async def test_its_middlewares_see_its_own_requests_alone(write: Write) -> None:
    async with site(APP=f"{write(APP)}:make", APP_PATH="/") as here:
        assert "x-own" in (await here.ask("/")).headers
        assert "x-own" not in (await here.ask("/_/")).headers


async def test_without_an_application_the_panel_stays_where_it_is() -> None:
    async with site(APP_PATH="/") as here:
        assert (await here.ask("/")).text.startswith("Machine ")


async def test_a_route_of_yours_can_need_the_token(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    module = write("""
        from private_svc.web.admin_token import require_token
        async def change(request):
            require_token(request)
            return web.Response(text="changed")
        async def named(request):
            require_token(request, "change the price")
            return web.Response(text="changed")
        def make():
            web_app = web.Application()
            web_app.add_routes([web.post("/", change), web.post("/named", named)])
            return web_app
    """)
    caplog.set_level("INFO", "private_svc")
    token = "correct-horse-battery-staple"  # noqa: S105 - it opens nothing but this test
    async with site(APP=f"{module}:make", ADMIN_TOKEN=token) as here:
        assert (await here.ask("/app/", method="POST")).status == 401
        assert (await here.ask("/app/", "X-Admin-Token: wrong", method="POST")).status == 401
        assert (await here.ask("/app/named", f"X-Admin-Token: {token}", method="POST")).text == "changed"
    audits = [record.__dict__["fields"] for record in caplog.records if record.getMessage() == "audit"]
    assert [(audit["action"], audit["outcome"]) for audit in audits] == [
        ("POST /app/", "no_token"),
        ("POST /app/", "wrong_token"),
        ("change the price", "accepted"),
    ]
    async with site(APP=f"{module}:make") as here:
        assert (await here.ask("/app/", f"X-Admin-Token: {token}", method="POST")).status == 403, "none is set"


async def test_in_a_test_of_the_application_alone_nobody_has_the_token(
    write: Write, aiohttp_client: AiohttpClient
) -> None:
    module = import_module(
        write("""
        from private_svc.web.admin_token import require_token
        async def change(request):
            require_token(request)
        def make():
            web_app = web.Application()
            web_app.router.add_post("/", change)
            return web_app
    """)
    )
    client = await aiohttp_client(module.make())
    assert (await client.post("/", headers={"X-Admin-Token": "x" * 16})).status == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((), 201),  # curl
        (("Origin: http://x",), 201),
        (("Sec-Fetch-Site: same-origin", "Origin: null"), 201),
        (("Sec-Fetch-Site: cross-site",), 403),
        (("Sec-Fetch-Site: same-site",), 403),
        (("Origin: http://evil.example",), 403),
        (("Origin: null",), 403),
    ],
)
async def test_another_sites_page_cannot_change_anything_through_it(
    write: Write, headers: tuple[str, ...], status: int
) -> None:
    module = write(APP)
    async with site(APP=f"{module}:make") as here:
        answer = await here.ask("/app/", *headers, method="POST")
        assert answer.status == status
        assert ("" in seen(module)) is (status == 201)
        looked = await here.ask("/app/", *headers)
        assert looked.status == 200, "a link from elsewhere works"
        assert looked.headers["referrer-policy"] == "same-origin", "so that its own forms have an Origin"


async def test_another_sites_page_cannot_open_a_websocket(write: Write) -> None:
    async with site(APP=f"{write(APP)}:make") as here:
        upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
        key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
        assert (await here.ask("/app/ws", *upgrade, key, "Origin: http://evil.example")).status == 403


async def test_a_handler_that_breaks_shows_nothing_of_its_insides(write: Write) -> None:
    module = write("""
        async def broken(request):
            raise ValueError("the password is hunter2")
        def make():
            web_app = web.Application()
            web_app.add_routes([web.get("/", broken)])
            return web_app
    """)
    async with site(APP=f"{module}:make") as here:
        answer = await here.ask("/app/")
    assert answer.status == 500
    assert "hunter2" not in answer.text


async def test_a_websocket_that_closes_under_its_handler_is_no_failure_of_the_handler(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    module = write("""
        async def late(request):
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            request.transport.close()
            await socket.send_str("too late")
        def make():
            web_app = web.Application()
            web_app.add_routes([web.get("/", late)])
            return web_app
    """)
    async with (
        site(APP=f"{module}:make") as here,
        ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{here.port}/app/") as websocket,
    ):
        await websocket.receive()
    assert "handler failed" not in {record.getMessage() for record in caplog.records}


async def test_a_handler_that_answers_on_a_websocket_after_the_goodbye_of_draining_has_not_failed(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    module = write("""
        import asyncio
        may_answer = asyncio.Event()
        async def slow(request):
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            await socket.receive()
            await may_answer.wait()
            await socket.send_str("too late")
        def make():
            web_app = web.Application()
            web_app.add_routes([web.get("/", slow)])
            return web_app
    """)
    async with (
        site(APP=f"{module}:make") as here,
        ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{here.port}/app/") as websocket,
    ):
        await websocket.send_str("hello")
        draining = asyncio.create_task(here.admin.drain(PATIENCE_SECONDS))
        assert (await websocket.receive()).data == WSCloseCode.GOING_AWAY
        sys.modules[module].may_answer.set()
        assert await draining == 0
    assert "handler failed" not in {record.getMessage() for record in caplog.records}


async def test_a_handler_that_forgets_its_answer_is_named_in_the_log(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    module = write("""
        async def forgets(request):
            web.Response()
        def make():
            web_app = web.Application()
            web_app.add_routes([web.get("/", forgets)])
            return web_app
    """)
    caplog.set_level("INFO", "private_svc")
    async with site(APP=f"{module}:make") as here:
        assert (await here.ask("/app/")).status == 500
    failed, request = (record.__dict__ for record in caplog.records)
    assert failed["fields"] == {"path": "/app/"}
    assert "expected an answer of the handler of /app/, got None" in str(failed["exc_info"][1])
    assert request["fields"]["status"] == 500


async def test_a_websocket_ends_when_its_caller_closes_the_connection_without_a_goodbye(write: Write) -> None:
    module = write(APP)
    async with site(APP=f"{module}:make") as here:
        _, writer = await here.open()
        writer.write(
            b"GET /app/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        await until(lambda: here.activity.working)
        writer.write_eof()
        await until(lambda: not here.activity.visits)
        assert here.activity.quiet.is_set()


async def echoed(here: Site, session: ClientSession, module: str) -> None:
    """Open a WebSocket, see it counted, drain, and see it closed politely."""
    async with session.ws_connect(f"http://127.0.0.1:{here.port}/app/ws") as websocket:
        await websocket.send_str("hello")
        assert (await websocket.receive()).data == "hello"
        assert [visit.doing for visit in here.activity.visits] == ["WebSocket /app/ws"]
        assert here.activity.working == 1
        draining = asyncio.create_task(here.admin.drain(PATIENCE_SECONDS))
        farewell = await websocket.receive()
        assert (farewell.type, farewell.data) == (WSMsgType.CLOSE, WSCloseCode.GOING_AWAY)
        assert await draining == 0
    first, *between, last = seen(module)
    assert (first, last) == ("started", "cleaned up")
    assert sorted(map(str, between)) == ["shutting down", "websocket closed"]


async def test_a_websocket_keeps_it_awake_and_is_closed_with_1001_when_draining_begins(write: Write) -> None:
    module = write(APP)
    async with site(APP=f"{module}:make") as here, ClientSession() as session:
        await echoed(here, session, module)


@pytest.mark.parametrize("part", ["on_shutdown", "on_cleanup"])
@pytest.mark.parametrize("way", ["raise OSError('the database has gone')", "await asyncio.Event().wait()"])
async def test_an_end_that_fails_or_hangs_holds_nobody_up(
    write: Write, part: str, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    module = write(f"""
        import asyncio
        async def ending(web_app):
            {way}
        def make():
            web_app = web.Application()
            web_app.{part}.append(ending)
            return web_app
    """)
    async with site(APP=f"{module}:make") as here:
        asked = asyncio.create_task(here.ask("/held"))
        await here.entered.wait()
        draining = asyncio.create_task(here.admin.drain(0.5))
        await asyncio.sleep(0)
        here.release.set()
        assert (await asked).text == "done\n", "who was being answered is answered"
        assert await draining == 0
        (record,) = (record for record in caplog.records if record.getMessage() == "application failed while leaving")
        assert record.exc_info is not None


@pytest.mark.parametrize("case", BROKEN)
def test_an_application_that_cannot_be_used_is_status_2_and_says_which_and_why(case: str, tmp_path: Path) -> None:
    text, name, why = BROKEN[case]
    (tmp_path / "broken.py").write_text(HEAD + text)
    name = name or "broken:make"
    done = run(APP=name, PORT="0", HELLO_PORT="0", METRICS_PORT="off", PYTHONPATH=str(tmp_path))
    assert done.returncode == 2, done.stderr
    first, *rest = done.stderr.splitlines()
    assert first.startswith("APP: ")
    assert name.partition(":")[0].partition(".")[0] in first
    assert why.format(name=name) in first
    assert not rest or rest[0].startswith("Traceback")
    if "raise" in text:
        assert f"{tmp_path}/broken.py" in done.stderr, "the traceback leads to the line"


def test_an_application_that_cancels_itself_does_not_leave_a_service_that_never_serves(tmp_path: Path) -> None:
    (tmp_path / "cancelled.py").write_text("import asyncio\nasync def make(): raise asyncio.CancelledError\n")
    done = run(APP="cancelled:make", PORT="0", HELLO_PORT="0", METRICS_PORT="off", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "CancelledError" in done.stderr


def test_callers_who_were_greeted_are_not_reset_when_the_application_fails(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as go_on:
        (tmp_path / "late.py").write_text(
            f"import socket\nsocket.create_connection({go_on.getsockname()!r}).recv(1)\nraise OSError('too late')\n"
        )
        with Running({"APP": "late:make", "PYTHONPATH": str(tmp_path)}) as running:
            port = running.port("hello")
            waiting, _ = go_on.accept()
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as caller:
                caller.sendall(b"unread words")
                assert caller.recv(100) == b"hello\n"
                waiting.close()
                assert running.event("draining")["reason"] == "the admin listener failed"
                assert caller.recv(100) == b""
                caller.shutdown(socket.SHUT_WR)
            running.event("leaving", cut_hellos=0)
            assert running.ended() == 2
            assert running.errors().startswith("APP: cannot import late: OSError: too late\n")
