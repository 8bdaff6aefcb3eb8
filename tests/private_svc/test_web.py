"""The admin listener, as its callers see it."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest

from private_svc.activity import Greeted
from private_svc.ingress import Ingress
from tests.private_svc.making import FLY, PLATFORM
from tests.private_svc.process import PATIENCE_SECONDS
from tests.private_svc.site import PROXY, Answer, site, until
from tests.private_svc.test_negotiate import BROWSER


async def closed(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""


PATHS = ["/", "/api/status", "/healthz", "/whoami", "/static/panel.css", "/nope", "/broken", "/static/page.html"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("path", PATHS)
async def test_every_answer_proves_its_machine_and_its_age_and_hides_the_server(path: str, method: str) -> None:
    async with site() as here:
        answer = await here.ask(path, method=method)
    assert answer.headers["x-machine-id"] == FLY["FLY_MACHINE_ID"]
    timing = dict(part.strip().split(";dur=") for part in answer.headers["server-timing"].split(","))
    assert 1000 <= float(timing["boot"]) <= float(timing["age"])
    assert answer.headers["server"] == "private-svc"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    if method == "HEAD":
        assert answer.body == b""


async def test_who_is_refused_is_not_told_to_go_on_with_a_body() -> None:
    async with site(PROXY) as here:
        answer = await here.ask("/api/sleep", "Fly-Client-IP: 203.0.113.7", "Expect: 100-continue", method="POST")
    assert answer.status == 403


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [("*/*", "text/plain"), (BROWSER, "text/html"), ("application/json", "application/json")],
)
@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/nope", 404), ("/broken", 500)])
async def test_answers_and_errors_come_in_the_form_that_was_asked_for(
    accept: str, media_type: str, path: str, status: int
) -> None:
    async with site() as here:
        answer = await here.ask(path, f"Accept: {accept}")
    assert answer.status == status
    assert answer.headers["content-type"].startswith(media_type)
    assert "secret of the handler" not in answer.text
    if media_type == "application/json":
        assert isinstance(json.loads(answer.text), dict)


async def test_the_status_is_json_whatever_was_asked_for_and_tells_how_you_came() -> None:
    async with site(PROXY) as here:
        answer = await here.ask("/api/status", "Accept: text/html", "Fly-Client-IP: fdaa:0:18::9")
    status: dict[str, Any] = json.loads(answer.text)
    assert status["schema_version"] == 1
    assert status["you"] == {"ingress": "flycast", "client": "fdaa:0:18::9"}
    assert status["machine"]["region"] == "ams"
    assert status["requests"] == {"flycast": 1}
    (you,) = status["open"]
    assert (you["listener"], you["waits_for"], you["is_you"]) == ("admin", "GET /api/status", True)
    assert status["kept_awake_by"] == {}, "only others count"


async def test_the_status_counts_the_others_who_wait_and_who_of_them_fly_proxy_does_not_see() -> None:
    async with site("fdaa:0:18::9") as here:
        held = asyncio.create_task(here.ask("/held"))
        await here.entered.wait()
        status = json.loads((await here.ask("/api/status")).text)
        here.release.set()
        await held
    assert status["kept_awake_by"] == {"request": 1}
    assert status["unseen_by_proxy"] == 1
    assert [(it["kind"], it["waits_for"], it["keeps_awake"]) for it in status["open"] if not it["is_you"]] == [
        ("request", "GET /held", True)
    ]


@pytest.mark.parametrize(
    ("sent", "url"),
    [
        (b"GET / HTTP/1.1\r\nHost: my-app.flycast:81\r\nConnection: close\r\n\r\n", b" my-app.flycast:81/api/sleep"),
        (b"GET / HTTP/1.0\r\n\r\n", b" HOST/api/sleep"),
    ],
)
async def test_the_panel_says_how_to_put_the_machine_to_sleep_by_the_name_that_was_used(
    sent: bytes, url: bytes
) -> None:
    async with site(ADMIN_TOKEN="t" * 16) as here:
        answer = await here.send(sent)
    assert url in answer, answer


async def test_hellos_are_in_the_status_by_ingress() -> None:
    async with site() as here:
        here.activity.hellos[Ingress.PLATFORM, Greeted.GREETED] += 2
        here.activity.hellos[Ingress.PLATFORM, Greeted.REFUSED] += 1
        answer = await here.ask("/api/status")
    assert json.loads(answer.text)["hellos"] == {"platform": 3}


async def test_what_came_through_a_public_address_is_refused_counted_and_told_why() -> None:
    async with site(PROXY) as here:
        for path in PATHS:
            answer = await here.ask(path, "Fly-Client-IP: 203.0.113.7")
            assert answer.status == 403
            assert "fly ips release" in answer.text
        status = json.loads((await here.ask("/api/status", "Fly-Client-IP: fdaa:0:18::9")).text)
        page = (await here.ask("/", "Fly-Client-IP: fdaa:0:18::9", f"Accept: {BROWSER}")).text
    assert status["refused"] == status["requests"]["public"] == len(PATHS)
    assert f"{len(PATHS)} requests came through a public address" in page


async def test_on_fly_a_caller_of_unknown_origin_is_refused_told_how_to_be_let_in_and_health_checks_are_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with site("10.1.2.3") as here:
        for path in PATHS:
            answer = await here.ask(path, "Fly-Client-IP: 203.0.113.7")
            assert answer.status == (200 if path == "/healthz" else 403), path
            assert path == "/healthz" or "add its network to PLATFORM_NETWORKS" in answer.text
        assert set(here.activity.refused) == {Ingress.UNKNOWN}
        assert not here.activity.requests[Ingress.PUBLIC]
    (refused,) = [record.__dict__["fields"] for record in caplog.records if record.getMessage() == "refused"]
    assert (refused["ingress"], refused["client"]) == ("unknown", "10.1.2.3")
    assert "PLATFORM_NETWORKS" in refused["fix"]


@pytest.mark.parametrize(("private_only", "networks"), [("0", PLATFORM), ("1", f"{PLATFORM},10.1.0.0/16")])
async def test_an_unknown_network_that_was_allowed_is_served(private_only: str, networks: str) -> None:
    async with site("10.1.2.3", PRIVATE_ONLY=private_only, PLATFORM_NETWORKS=networks) as here:
        assert (await here.ask("/", "Fly-Client-IP: fdaa:0:18::9")).status == 200


async def test_off_fly_every_caller_that_is_not_public_is_served() -> None:
    async with site("10.1.2.3", fly={}) as here:
        assert (await here.ask("/")).status == 200


async def test_an_answer_that_nobody_was_there_to_see_is_logged_as_499(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "private_svc")
    async with site() as here:
        _, writer = await here.open()
        writer.write(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
        await here.entered.wait()
        writer.close()
        await until(lambda: here.held_request.transport is None)
        here.release.set()
        await until(lambda: here.activity.answers)
    assert dict(here.activity.answers) == {(Ingress.LOOPBACK, 499): 1}
    statuses = [record.__dict__["fields"]["status"] for record in caplog.records if record.getMessage() == "request"]
    assert statuses == [499]


async def test_refusals_are_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    async with site(PROXY) as here:
        for _ in range(20):
            await here.ask("/", "Fly-Client-IP: 203.0.113.7")
    assert [record.getMessage() for record in caplog.records].count("refused") == 1


async def test_the_public_is_served_when_private_only_is_off() -> None:
    async with site(PROXY, PRIVATE_ONLY="0") as here:
        assert (await here.ask("/", "Fly-Client-IP: 203.0.113.7")).status == 200


async def test_forged_headers_of_a_6pn_caller_change_nothing() -> None:
    async with site("fdaa:0:18::9") as here:
        forged = ("Fly-Client-IP: 203.0.113.7", "X-Forwarded-For: 127.0.0.1")
        answer = json.loads((await here.ask("/whoami", "Accept: application/json", *forged)).text)
    assert (answer["ingress"], answer["client"]) == ("six_pn", "fdaa:0:18::9")


async def test_whoami_echoes_the_request_without_its_secrets() -> None:
    secrets = ("Authorization: Bearer hunter2", "Cookie: id=hunter2", "X-Api-Key: hunter2", "X-Auth-Token: hunter2")
    async with site() as here:
        answer = await here.ask("/whoami?a=1", "X-Seen: yes", *secrets)
    assert answer.text.startswith("GET /whoami?a=1 HTTP/1.1\n")
    assert "X-Seen: yes\n" in answer.text
    assert "hunter2" not in answer.text
    assert answer.text.count("(redacted)") == len(secrets)


@pytest.mark.parametrize("accept", ["*/*", "application/json"])
async def test_whoami_echoes_a_header_that_is_no_utf_8(accept: str) -> None:
    async with site() as here:
        reader, writer = await here.open()
        writer.write(
            b"GET /whoami HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Old: caf\xe9\r\nAccept: %b\r\n\r\n"
            % accept.encode()
        )
        raw = await reader.read()
    assert raw.startswith(b"HTTP/1.1 200 ")
    assert (b"X-Old: caf\xe9\n" if accept == "*/*" else b"caf\\udce9") in raw


async def test_the_request_log_has_no_query_and_leaves_health_checks_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "private_svc")
    async with site() as here:
        await here.ask("/nope?token=hunter2")
        await here.ask("/healthz")
    fields = [record.__dict__["fields"] for record in caplog.records if record.getMessage() == "request"]
    assert [(entry["path"], entry["status"]) for entry in fields] == [("/nope", 404)]


@pytest.mark.parametrize(
    ("sent", "answer"), [(b"", b""), (b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"HTTP/1.1 408 Request Timeout")]
)
async def test_a_caller_with_slow_headers_is_closed(sent: bytes, answer: bytes) -> None:
    async with site(caller_seconds=0.05) as here:
        reader, writer = await here.open()
        writer.write(sent)
        assert (await closed(reader)).partition(b"\r\n")[0] == answer
        await until(lambda: not here.activity.visits)


async def test_a_request_in_progress_has_no_deadline_for_headers() -> None:
    async with site(caller_seconds=0.05) as here:
        idle, _ = await here.open()
        asked = asyncio.create_task(here.ask("/held"))
        await here.entered.wait()
        await closed(idle)  # the deadline has passed for a caller that did not ask
        later, _ = await here.open()
        await closed(later)
        here.release.set()
        assert (await asked).text == "done\n"


async def test_headers_that_are_too_large_are_refused() -> None:
    async with site() as here:
        assert (await here.ask("/", "X-Big: " + "x" * 40_000)).status == 431


async def test_draining_finishes_the_request_in_flight_and_closes_its_connection() -> None:
    async with site() as here:
        reader, writer = await here.open()
        writer.write(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
        await here.entered.wait()
        draining = asyncio.create_task(here.admin.drain(PATIENCE_SECONDS))
        await asyncio.sleep(0)  # it has begun
        here.release.set()
        answer = Answer(await reader.read())
        assert (answer.status, answer.text) == (200, "done\n")
        assert answer.headers["connection"] == "close"
        assert await draining == 0


async def test_draining_cuts_what_is_not_finished_in_time_and_says_how_many() -> None:
    async with site() as here:
        reader, writer = await here.open()
        writer.write(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
        await here.entered.wait()
        assert await here.admin.drain(0.01) == 1
        assert await closed(reader) == b""


async def test_draining_closes_idle_connections_and_answers_who_is_still_in_the_queue() -> None:
    async with site() as here:
        reader, writer = await here.open()
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"ok\n")
        with socket.create_connection(("127.0.0.1", here.port)) as queued:
            queued.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert await here.admin.drain(PATIENCE_SECONDS) == 0
            queued.settimeout(PATIENCE_SECONDS)
            answer = Answer(queued.recv(10_000))
        assert (answer.status, answer.text) == (503, "draining\n")
        assert await closed(reader) == b""


async def test_a_request_that_reaches_an_idle_connection_as_the_drain_begins_is_answered() -> None:
    async with site() as here:
        reader, writer = await here.open()
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"ok\n")
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await here.admin.drain(PATIENCE_SECONDS) == 0
        assert Answer(await reader.read()).status == 503


async def test_a_caller_that_does_not_read_is_closed() -> None:
    async with site(caller_seconds=0.05) as here:
        with socket.socket() as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            caller.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(caller, ("127.0.0.1", here.port))
            await loop.sock_sendall(caller, b"GET /flood HTTP/1.1\r\nHost: x\r\n\r\n")
            await here.entered.wait()
            await here.ended.wait()


async def test_a_redirect_of_a_handler_keeps_its_location_and_a_405_its_methods() -> None:
    async with site() as here:
        moved = await here.ask("/moved")
        assert (moved.status, moved.headers["location"]) == (302, "/elsewhere")
        assert "GET" in (await here.ask("/", method="DELETE")).headers["allow"]


@pytest.mark.parametrize("target", ["http://evil.example/healthz", "//evil.example/healthz", "/%0d%0aX:%20y", "/%ff"])
async def test_odd_targets_are_refused_like_every_other_when_they_come_from_the_public(target: str) -> None:
    async with site(PROXY) as here:
        for method in ("GET", "HEAD", "OPTIONS"):
            answer = await here.ask(target, "Fly-Client-IP: 203.0.113.7", method=method)
            assert answer.status == 403, f"{method} {target}"


@pytest.mark.parametrize("target", ["http://evil.example/healthz", "//evil.example/healthz", "/%0d%0aX:%20y", "/%ff"])
async def test_odd_targets_never_break_a_handler(target: str) -> None:
    async with site() as here:
        answer = await here.ask(target, "Accept: text/html")
        assert answer.status in {200, 404}
        assert "evil" not in answer.text


async def test_a_websocket_upgrade_is_answered_as_a_plain_request_and_closed() -> None:
    async with site() as here:
        reader, writer = await here.open()
        asked = [
            "GET /whoami HTTP/1.1",
            "Host: x",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
        ]
        writer.write("\r\n".join([*asked, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "", ""]).encode())
        answer = Answer(await reader.read())
        assert (answer.status, answer.headers["connection"]) == (200, "close")


async def test_a_malformed_request_leaves_no_traceback_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with site() as here:
        assert (await here.ask("/", "X-Big: " + "x" * 40_000)).status == 431
    assert [record for record in caplog.records if record.exc_info] == []
