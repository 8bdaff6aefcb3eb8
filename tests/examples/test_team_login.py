from __future__ import annotations

import pytest
from aiohttp import ClientSession, encode_basic_auth

from tests.private_svc.process import run, service

TOKEN = "correct-horse-battery-staple"  # noqa: S105 - it opens nothing but this test
TEAM = "ann:a-password-of-hers bob:a-password-of-his:with-a-colon"


def login(name: str, password: str) -> dict[str, str]:
    return {"Authorization": encode_basic_auth(name, password)}


ANN = login("ann", "a-password-of-hers")
BOB = login("bob", "a-password-of-his:with-a-colon")
STRANGERS = [
    {},
    login("ann", ""),
    login("ann", "a-password-of-his:with-a-colon"),
    login("eve", "a-password-of-hers"),
    login("", ""),
    *(
        {"Authorization": value}
        for value in ("Basic", "Basic %%%", "Basic YW5u", "Basic /w==", "Bearer a-password-of-hers")
    ),
]


async def test_the_team_comes_in_and_nobody_else() -> None:
    with service(AUTH="tests.examples.team_login:check", TEAM=TEAM) as running:
        url = f"http://127.0.0.1:{running.port('admin')}"
        async with ClientSession() as session:
            for member, name in ((ANN, "ann"), (BOB, "bob")):
                assert (await session.get(f"{url}/", headers=member)).status == 200
                assert running.event("request")["user"] == name
            for stranger in STRANGERS:
                answer = await session.get(f"{url}/", headers=stranger)
                assert answer.status == 401
                assert answer.headers["WWW-Authenticate"].startswith("Basic ")
            assert (await session.get(f"{url}/healthz")).status == 200


async def test_a_member_with_the_token_puts_the_machine_to_sleep() -> None:
    with service(AUTH="tests.examples.team_login:check", TEAM=TEAM, ADMIN_TOKEN=TOKEN) as running:
        url = f"http://127.0.0.1:{running.port('admin')}/api/sleep"
        token = {"X-Admin-Token": TOKEN}
        async with ClientSession() as session:
            for headers, status in ((token, 401), (ANN, 401), (ANN | token, 202)):
                assert (await session.post(url, headers=headers)).status == status
        assert running.event("audit", outcome="accepted")["user"] == "ann"
        assert running.ended() == 0


@pytest.mark.parametrize("team", ["", "ann", "ann:short", ":a-password-of-nobody"])
def test_without_a_team_the_service_does_not_start(team: str) -> None:
    done = run(AUTH="tests.examples.team_login:check", TEAM=team, PORT="0", HELLO_PORT="0", METRICS_PORT="0")
    assert done.returncode == 2
    assert "TEAM: expected " in done.stderr
