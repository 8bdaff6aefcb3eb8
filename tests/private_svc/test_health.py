"""Health checks: what they are told, the usual one in one piece and every other as aiohttp would tell it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest

from private_svc.web import health
from tests.private_svc.site import Answer, site

USUAL = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
OTHERS = {
    "HEAD": b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/1.0": b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "the last": b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "an upgrade": b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
}
CHANGING = {"connection", "date", "server-timing"}


async def answer_to(asked: bytes) -> Answer:
    async with site() as here:
        reader, writer = await here.open()
        writer.write(asked)
        return Answer(await reader.readuntil(b"\r\n\r\n"))


async def test_health_is_asked_for_with_get_or_head_and_in_no_other_way() -> None:
    async with site() as here:
        asked = {method: await here.ask("/healthz", method=method) for method in ("GET", "HEAD", "POST")}
    assert {method: answer.status for method, answer in asked.items()} == {"GET": 200, "HEAD": 200, "POST": 405}
    assert (asked["GET"].text, asked["HEAD"].text, asked["POST"].headers["allow"]) == ("ok\n", "", "GET,HEAD")


@pytest.mark.parametrize("other", OTHERS)
async def test_the_usual_answer_says_what_every_other_says(other: str) -> None:
    usual, unusual = await answer_to(USUAL), await answer_to(OTHERS[other])
    assert (usual.status, unusual.status) == (200, 200)
    assert usual.headers.keys() - CHANGING == unusual.headers.keys() - CHANGING
    for name in usual.headers.keys() - CHANGING:
        assert usual.headers[name] == unusual.headers[name], name


async def test_usual_checks_on_one_connection_are_answered_in_turn_and_the_last_closes_it() -> None:
    async with site() as here:
        received = await here.send(USUAL + USUAL + OTHERS["the last"])
        assert here.activity.working == 0
        assert sum(here.activity.answers.values()) == 3
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 3
    assert received.count(b"\r\n\r\nok\n") == 3


async def test_the_date_is_that_of_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async with site() as here:
        reader, writer = await here.open()
        for moment in (datetime.now(UTC), datetime.now(UTC) + timedelta(days=40)):
            monkeypatch.setattr(health, "time", moment.timestamp)
            writer.write(USUAL)
            answer = Answer(await reader.readuntil(b"\r\nok\n"))
            assert parsedate_to_datetime(answer.headers["date"]) == moment.replace(microsecond=0)
