"""`POST /api/sleep` over real sockets: who may, what they have to say, and what comes of it."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

from private_svc.web import actions, throttle
from tests.private_svc.machines_api import REFUSED, machines_api
from tests.private_svc.making import FLY
from tests.private_svc.site import PROXY, Answer, site, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.private_svc.site import Site

TOKEN = "correct-horse-battery-staple"  # noqa: S105 - it opens nothing but this test
BEARER = f"Authorization: Bearer {TOKEN}"
HERE = "private-svc.flycast"


def request(body: bytes, *headers: str, host: str = HERE) -> bytes:
    lines = ["POST /api/sleep HTTP/1.1", f"Host: {host}", "Connection: close", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode(errors="surrogateescape") + body


async def post(here: Site, body: bytes, *headers: str, host: str = HERE) -> Answer:
    return Answer(await here.send(request(body, *headers, host=host)))


def basic(password: str, user: str = "admin") -> str:
    return "Authorization: Basic " + b64encode(f"{user}:{password}".encode()).decode()


def audits(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [record.__dict__["fields"] for record in caplog.records if record.getMessage() == "audit"]


async def test_without_a_token_set_there_are_no_actions_and_the_answer_says_how_to_get_them() -> None:
    async with site() as here:
        answer = await post(here, b"", BEARER)
        assert not here.departure.decided
    assert answer.status == 403
    assert "fly secrets set ADMIN_TOKEN=" in json.loads(answer.text)["error"]


@pytest.mark.parametrize(
    "authorization",
    [
        BEARER,
        f"authorization: bearer {TOKEN}",
        f"Authorization:BEARER   {TOKEN}  ",
        f"X-Admin-Token: {TOKEN}",
        f"x-admin-token:  {TOKEN} ",
        f"Authorization: Basic YW5uOnB3\r\nX-Admin-Token: {TOKEN}",
        f"Authorization: Bearer of-the-login\r\nX-Admin-Token: {TOKEN}",
    ],
)
async def test_the_right_token_stops_the_machine(authorization: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "private_svc")
    async with site(PROXY, ADMIN_TOKEN=TOKEN) as here:
        answer = await post(here, b'{"mode": "stop"}', authorization, "Fly-Client-IP: fdaa:0:18::9")
        reason = await here.departure.reason()
    assert answer.status == 202
    assert json.loads(answer.text) == {"status": "stopping", "mode": "stop", "machine_id": FLY["FLY_MACHINE_ID"]}
    assert reason == "asked by fdaa:0:18::9"
    (audit,) = audits(caplog)
    assert audit == {
        "action": "sleep",
        "outcome": "accepted",
        "ingress": "flycast",
        "client": "fdaa:0:18::9",
        "note": "",
    }


NO_TOKENS = [
    "X-Nothing: here",
    "Authorization:",
    "Authorization: Bearer",
    "Authorization: Bearer  ",
    f"Authorization: {TOKEN}",
    f"Authorization: Digest {TOKEN}",
    f"Authorization: Bearer:{TOKEN}",
    "X-Admin-Token:",
    "X-Admin-Token:  ",
    basic(TOKEN),
]
WRONG_TOKENS = [
    "Authorization: Bearer x",
    f"Authorization: Bearer {TOKEN}x",
    f"Authorization: Bearer {TOKEN[:-1]}",
    f"Authorization: Bearer {TOKEN.upper()}",
    f"Authorization: Bearer {TOKEN},{TOKEN}",
    "Authorization: Bearer \udcff\udcfe",
    f"Authorization: Bearer {'x' * 8000}",
    "X-Admin-Token: x",
    f"X-Admin-Token: Bearer {TOKEN}",
    f"X-Admin-Token: x\r\n{BEARER}",
    f"X-Admin-Token: x\r\nX-Admin-Token: {TOKEN}",
]


@pytest.mark.parametrize("header", NO_TOKENS + WRONG_TOKENS)
async def test_without_the_right_token_nothing_happens(header: str, caplog: pytest.LogCaptureFixture) -> None:
    async with site(ADMIN_TOKEN=TOKEN) as here:
        answer = await post(here, b"", header)
        assert not here.departure.decided
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="private-svc"', "Basic would make a browser keep it"
    assert [audit["outcome"] for audit in audits(caplog)] == ["wrong_token" if header in WRONG_TOKENS else "no_token"]


async def test_a_second_authorization_header_is_refused_as_malformed() -> None:
    async with site(ADMIN_TOKEN=TOKEN) as here:
        assert (await post(here, b"", "Authorization: Bearer x", BEARER)).status in {400, 401}
        assert not here.departure.decided


@pytest.mark.parametrize(
    "headers",
    [
        ("Sec-Fetch-Site: cross-site",),
        ("Sec-Fetch-Site: same-site",),
        ("Sec-Fetch-Site: cross-site", f"Origin: http://{HERE}"),
        ("Origin: null",),
        ("Origin: http://evil.example",),
        ("Origin: http://[",),
        (f"Origin: http://{HERE}:81",),
    ],
)
async def test_another_site_s_page_is_refused_even_with_the_token(
    headers: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    async with site(ADMIN_TOKEN=TOKEN) as here:
        answer = await post(here, b"", BEARER, *headers)
        assert not here.departure.decided
    assert answer.status == 403
    assert [audit["outcome"] for audit in audits(caplog)] == ["cross_site"]


@pytest.mark.parametrize("headers", [("Sec-Fetch-Site: same-origin",), (f"Origin: http://{HERE}",), ()])
async def test_our_own_page_and_a_program_may(headers: tuple[str, ...]) -> None:
    async with site(ADMIN_TOKEN=TOKEN) as here:
        assert (await post(here, b"", BEARER, *headers)).status == 202
        assert here.departure.decided


async def test_a_stranger_s_name_for_our_address_is_misdirected_whatever_the_page_says() -> None:
    async with site(ADMIN_TOKEN=TOKEN) as here:
        for host in ("evil.example", "evil.example:8080", "127.0.0.1.evil.example"):
            answer = await post(here, b"", BEARER, "Sec-Fetch-Site: same-origin", f"Origin: http://{host}", host=host)
            assert answer.status == 421, host
        assert not here.departure.decided


async def test_a_name_in_allowed_hosts_is_ours() -> None:
    async with site(ADMIN_TOKEN=TOKEN, ALLOWED_HOSTS="panel.example.com") as here:
        assert (await post(here, b"", BEARER, host="panel.example.com:8443")).status == 202


async def test_the_name_of_an_absolute_target_counts_and_not_the_host_beside_it() -> None:
    async with site(ADMIN_TOKEN=TOKEN) as here:
        for named, host, status in ((HERE, "evil.example", 200), ("evil.example", HERE, 421)):
            sent = f"GET http://{named}/whoami HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            assert Answer(await here.send(sent.encode())).status == status, (named, host)


@pytest.mark.parametrize("body", [b"", b" \r\n", b"{}", b' {"mode":"stop"} ', b'{"\\u006dode": "st\\u006fp"}'])
async def test_what_asks_for_a_stop(body: bytes) -> None:
    async with site(ADMIN_TOKEN=TOKEN) as here:
        answer = await post(here, body, BEARER)
        assert (answer.status, json.loads(answer.text)["mode"]) == (202, "stop")
        assert here.departure.decided


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"[]",
        b'["stop"]',
        b'[["mode", "stop"]]',
        b'"stop"',
        b"1",
        b"NaN",
        b'{"mode": null}',
        b'{"mode": true}',
        b'{"mode": 1e999}',
        b'{"mode": ""}',
        b'{"mode": "STOP"}',
        b'{"mode": "destroy"}',
        b'{"mode": ["stop"]}',
        b'{"mode": {"mode": "stop"}}',
        b'{"Mode": "stop"}',
        b'{"mode": "stop", "now": true}',
        b'{"mode": "suspend", "mode": "stop"}',
        b'{"mode": "stop"',
        b'{"mode": "stop"} {}',
        b"mode=stop",
        b"[" * 1024,
        b'{"a":' * 200,
        b"\xff\xfe\x00",
        b'{"mode": "\xff"}',
        b'{"mode": "\\ud800"}',
        b"x" * 1025,
        b'{"mode": "stop"}' + b" " * 1024,
        b"x" * 200_000,
    ],
)
async def test_a_body_that_asks_for_nothing_we_know_is_refused(body: bytes) -> None:
    async with site(ADMIN_TOKEN=TOKEN) as here:
        answer = await post(here, body, BEARER)
        assert not here.departure.decided
    assert answer.status == 400
    assert json.loads(answer.text)["error"].startswith("expected a ")


@pytest.mark.parametrize(
    "rest",
    [
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcdefg\r\n0\r\n\r\n",
        b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
        b"Content-Encoding: deflate\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
async def test_a_body_that_cannot_be_read_is_the_callers_fault(rest: bytes, caplog: pytest.LogCaptureFixture) -> None:
    head = f"POST /api/sleep HTTP/1.1\r\nHost: x\r\n{BEARER}\r\nConnection: close\r\n".encode()
    async with site(ADMIN_TOKEN=TOKEN) as here:
        assert Answer(await here.send(head + rest)).status == 400
        assert not here.departure.decided
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_body_that_breaks_after_its_beginning_is_the_callers_fault_too(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "BODY_SECONDS", 0.05)
    caplog.set_level("INFO", "private_svc")
    async with site(ADMIN_TOKEN=TOKEN, caller_seconds=0.1) as here:
        reader, writer = await here.open()
        writer.write(f"POST /api/sleep HTTP/1.1\r\nHost: x\r\n{BEARER}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        await until(lambda: here.activity.working)
        writer.write(b"zz\r\n")
        assert Answer(await reader.read()).status == 400
        assert not here.departure.decided
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "BODY_SECONDS", 0.05)
    async with site(ADMIN_TOKEN=TOKEN, caller_seconds=0.1) as here:
        sent = f"POST /api/sleep HTTP/1.1\r\nHost: x\r\n{BEARER}\r\nContent-Length: 9\r\n\r\n{{".encode()
        answer = Answer(await here.send(sent))
    assert answer.status == 400
    assert "expected the body within" in answer.text


async def test_a_caller_who_leaves_in_the_middle_of_the_body_is_no_failure_of_ours(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "private_svc")
    async with site(ADMIN_TOKEN=TOKEN) as here:
        _, writer = await here.open()
        writer.write(f"POST /api/sleep HTTP/1.1\r\nHost: x\r\n{BEARER}\r\nContent-Length: 9\r\n\r\n{{".encode())
        await until(lambda: here.activity.working)
        writer.close()
        await until(lambda: here.activity.answers and not here.activity.visits)
        assert not here.departure.decided
        assert not here.activity.working
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def test_wrong_guesses_are_throttled_by_address_and_by_network_and_the_right_token_always_passes(
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(throttle, "SECONDS_A_GUESS", 3600.0)
    caplog.set_level("INFO", "private_svc")

    async def guessed(number: int) -> Answer:
        return await post(here, b"", "Authorization: Bearer wrong", f"Fly-Client-IP: fdaa:0:18:a7b:7d::{number:x}")

    async with site(PROXY, ADMIN_TOKEN=TOKEN) as here:
        for _ in range(throttle.GUESSES):
            assert (await guessed(1)).status == 401
        throttled = await guessed(1)
        assert throttled.status == 429
        assert 1 <= int(throttled.headers["retry-after"]) <= 3601
        assert (await guessed(2)).status == 401, "a neighbour behind the same gateway is told what is wrong"
        for number in range(3, 3 + throttle.GUESSES_OF_NETWORK - throttle.GUESSES - 1):
            assert (await guessed(number)).status == 401
        assert (await guessed(99)).status == 429, "the whole network has guessed too often"
        assert here.activity.throttled == 2
        body = b'{"mode": "nothing we know"}'
        for client in ("fdaa:0:18:a7b:7d::1", "fdaa:0:18:a7b:7d::99", "fdaa:0:18:a7b:7e::1"):
            assert (await post(here, body, BEARER, f"Fly-Client-IP: {client}")).status == 400, "the token is right"
    outcomes = [audit["outcome"] for audit in audits(caplog)]
    assert outcomes.count("wrong_token") == throttle.GUESSES_OF_NETWORK
    assert outcomes.count("throttled") == 1, "logged once a minute"
    assert outcomes[-3:] == ["accepted"] * 3


async def test_asking_without_a_token_is_no_guess() -> None:
    async with site(ADMIN_TOKEN=TOKEN) as here:
        for _ in range(throttle.GUESSES * 2):
            assert (await post(here, b"")).status == 401
        assert (await post(here, b"", BEARER)).status == 202


async def test_the_token_is_in_no_answer_and_in_no_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    said = b""
    async with site(ADMIN_TOKEN=TOKEN) as here:
        for headers in (
            (BEARER, "Origin: null"),
            (BEARER + "x",),
            (basic(TOKEN),),
            (BEARER,),
            (BEARER, "Expect: something"),
            (f"X-Admin-Token: {TOKEN}",),
            (f"X-Admin-Token: {TOKEN}x",),
        ):
            said += await here.send(request(f'{{"token": "{TOKEN}"}}'.encode(), *headers))
        for path in ("/", "/api/status", "/whoami", f"/{TOKEN[:5]}"):
            said += await here.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n{BEARER}\r\nConnection: close\r\n\r\n".encode())
        said += await here.send(
            b"POST /api/sleep HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n" + BEARER.encode() + b"\0"
        )
    logged = "".join(
        f"{record.getMessage()} {record.__dict__.get('fields')} {record.exc_text}" for record in caplog.records
    )
    assert TOKEN not in logged
    assert TOKEN not in said.decode()


async def test_a_get_sleeps_nobody() -> None:
    async with site(ADMIN_TOKEN=TOKEN) as here:
        for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"):
            assert (await here.ask("/api/sleep", BEARER, method=method)).status == 405
        assert not here.departure.decided


async def test_where_there_is_no_api_a_suspension_is_not_promised(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "private_svc")
    async with site(ADMIN_TOKEN=TOKEN) as here:
        answer = await post(here, b'{"mode": "suspend"}', BEARER)
        assert not here.departure.decided
    assert answer.status == 501
    assert "only a Machine on Fly can be suspended" in answer.text
    assert [audit["outcome"] for audit in audits(caplog)] == ["accepted", "failed"]


async def test_a_suspension_is_asked_for_once_every_other_request_is_answered(tmp_path: Path) -> None:
    async with (
        machines_api(tmp_path / "api") as api,
        site(ADMIN_TOKEN=TOKEN, api=str(tmp_path / "api"), DRAIN_SECONDS="300") as here,
    ):
        held = asyncio.create_task(here.ask("/held"))
        await here.entered.wait()
        for _ in range(3):  # impatient
            answer = await post(here, b'{"mode": "suspend"}', BEARER)
            assert json.loads(answer.text) == {
                "status": "suspending",
                "mode": "suspend",
                "machine_id": FLY["FLY_MACHINE_ID"],
            }
        assert not api.asked
        here.release.set()
        assert (await held).text == "done\n"
        await api.was_asked.wait()
        assert not here.departure.decided, "a suspended Machine goes on where it was"
    assert len(api.asked) == 1


async def test_why_a_suspension_did_not_come_about_is_shown_in_the_status(tmp_path: Path) -> None:
    async with (
        machines_api(tmp_path / "api", REFUSED) as api,
        site(ADMIN_TOKEN=TOKEN, api=str(tmp_path / "api")) as here,
    ):
        assert (await post(here, b'{"mode": "suspend"}', BEARER)).status == 202
        await api.was_asked.wait()
        await until(lambda: here.suspender.failure)
        status = json.loads((await here.ask("/api/status")).text)
    assert "machine has too much memory" in status["sleep"]["failure"]
