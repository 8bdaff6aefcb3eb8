"""Requests that are odd and right: each is answered."""

from __future__ import annotations

import pytest

from tests.private_svc.site import PROXY, Answer, site

GET = b"GET /healthz HTTP/1.1\r\n"
POST = b"POST /api/sleep HTTP/1.1\r\nHost: x\r\n"


async def test_http_1_0_needs_no_host_and_is_closed_unless_it_asks_to_stay() -> None:
    async with site() as here:
        answer = Answer(await here.send(b"GET /healthz HTTP/1.0\r\n\r\n"))
        assert (answer.status, answer.text) == (200, "ok\n")
        stays, ends = b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", b"GET /healthz HTTP/1.0\r\n\r\n"
        assert (await here.send(stays + ends)).count(b"HTTP/1.0 200 OK") == 2


async def test_a_body_on_a_get_is_read_and_thrown_away() -> None:
    async with site() as here:
        body = b"Host: x\r\nContent-Length: 5\r\n\r\nhello"
        received = await here.send(GET + body + GET + b"Host: x\r\nConnection: close\r\n\r\n")
    assert received.count(b"HTTP/1.1 200 OK") == 2


async def test_who_expects_100_continue_gets_it_and_whoever_expects_more_gets_417() -> None:
    async with site() as here:
        head = POST + b"Content-Length: 2\r\nConnection: close\r\nExpect: "
        assert (await here.send(head + b"100-continue\r\n\r\n{}")).startswith(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 "
        )
        assert Answer(await here.send(head + b"a-miracle\r\n\r\n{}")).status == 417


@pytest.mark.parametrize(
    "named", ["Fly_Client_IP", "FLY-CLIENT_IP", "Fly-Client-IP-", "X-Fly-Client-IP", "Fly-Client-I"]
)
async def test_a_header_whose_name_only_looks_like_flys_is_another_header(named: str) -> None:
    async with site(PROXY) as here:
        answer = await here.ask("/whoami", "Accept: application/json", f"{named}: 203.0.113.7")
    assert '"ingress": "platform"' in answer.text


@pytest.mark.parametrize("clients", [("fdaa::1", "fdaa::1"), ("fdaa::1", "203.0.113.7"), ("203.0.113.7", "fdaa::1")])
async def test_two_client_addresses_are_one_too_many_to_be_private(clients: tuple[str, str]) -> None:
    async with site(PROXY) as here:
        assert (await here.ask("/", *(f"Fly-Client-IP: {client}" for client in clients))).status == 403
        assert (await here.ask("/", f"fly-client-ip: {', '.join(clients)}")).status == 403


@pytest.mark.parametrize("target", ["*", "http://x", "http://x/", "http://x?a", "http://X:8080/whoami"])
async def test_every_form_of_target_is_answered(target: str) -> None:
    async with site() as here:
        assert (await here.ask(target, method="OPTIONS")).status in {200, 404, 405}


@pytest.mark.parametrize("target", ["a.example:80", "a.flycast:80"])
async def test_it_is_nobody_s_tunnel(target: str) -> None:
    async with site() as here:
        assert (await here.ask(target, method="CONNECT")).status in {404, 405, 421}
