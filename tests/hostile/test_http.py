"""The service's HTTP listener against the payloads of programs that judge HTTP servers."""

from __future__ import annotations

import re

import pytest

from tests.hostile.http_payloads import CHUNKED, PAYLOADS
from tests.private_svc.making import FLY
from tests.private_svc.site import PROXY, Answer, site, until

STATUS_LINE = re.compile(rb"^HTTP/1\.[01] (\d{3}) ", re.MULTILINE)
SPLITS = (1, 2, 7)  # bytes in each segment


@pytest.mark.parametrize("name", PAYLOADS)
async def test_each_payload_gets_its_answers_and_nothing_else(name: str, caplog: pytest.LogCaptureFixture) -> None:
    payload = PAYLOADS[name]
    async with site() as here:
        received = await here.send(payload.sent)
        here.writers[-1].close()
        await until(lambda: not here.activity.visits)
    statuses = tuple(int(status) for status in STATUS_LINE.findall(received))
    assert statuses == payload.statuses, received
    assert received.count(FLY["FLY_MACHINE_ID"].encode()) == len(statuses), "every answer says which Machine it is from"
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize("size", SPLITS)
@pytest.mark.parametrize("name", [name for name, it in PAYLOADS.items() if len(it.sent) < 1000])
async def test_it_does_not_matter_how_a_payload_is_cut_into_segments(name: str, size: int) -> None:
    payload = PAYLOADS[name]
    async with site() as here:
        reader, writer = await here.open()
        for at in range(0, len(payload.sent), size):
            writer.write(payload.sent[at : at + size])
            await writer.drain()
        received = await reader.read()
    assert tuple(int(status) for status in STATUS_LINE.findall(received)) == payload.statuses, received


async def test_the_answer_to_a_malformed_head_request_has_no_body() -> None:
    async with site() as here:
        assert Answer(await here.send(PAYLOADS["HEAD without Host"].sent)).text == ""


@pytest.mark.parametrize("trailer", ["Fly-Client-IP: 203.0.113.7", "Sec-Fetch-Site: cross-site", "Host: evil.example"])
async def test_a_trailer_is_no_header_of_this_request_and_none_of_the_next(trailer: str) -> None:
    async with site(PROXY) as here:
        whoami = b"GET /whoami HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        received = await here.send(CHUNKED + b"0\r\n" + trailer.encode() + b"\r\n\r\n" + whoami)
    assert tuple(map(int, STATUS_LINE.findall(received))) == (403, 200)
    assert trailer.partition(": ")[2].encode() not in received


async def test_malformed_requests_are_counted_and_told_of_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    async with site() as here:
        for _ in range(5):
            await here.send(PAYLOADS["no Host"].sent)
        assert sum(here.activity.answers.values()) == 5
    told = [record for record in caplog.records if record.getMessage() == "malformed request"]
    assert len(told) == 1
    assert told[0].__dict__["fields"]["reason"] == "expected one Host, got 0"
