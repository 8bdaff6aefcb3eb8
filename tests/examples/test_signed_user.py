from __future__ import annotations

import time
from importlib import import_module
from typing import TYPE_CHECKING, cast

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from private_svc.ingress import Caller, Ingress
from tests.private_svc.process import run, service

if TYPE_CHECKING:
    from tests.examples.signed_user import SignedUser

KEY = "0123456789abcdef" * 4
NOW = 1_800_000_000


@pytest.fixture
def signed_user(monkeypatch: pytest.MonkeyPatch) -> SignedUser:
    """Return a check whose time stands still."""
    monkeypatch.setenv("USER_KEY", KEY)  # the module does not come without one
    return cast("SignedUser", import_module("tests.examples.signed_user").SignedUser(KEY, lambda: NOW))


async def status(check: SignedUser, *values: str) -> int:
    """Return with what a request of these X-Signed-User values is refused; 200 when it is not."""
    headers = CIMultiDict([("X-Signed-User", value) for value in values])
    refusal = await check(make_mocked_request("GET", "/", headers), Caller(Ingress.SIX_PN, "fdaa:0:18::9"))
    return 200 if refusal is None else refusal.status


@pytest.mark.parametrize(("seconds_left", "expected"), [(0, 200), (300, 200), (-1, 403), (301, 403)])
async def test_a_signature_holds_until_it_expires_and_no_proxy_signs_for_long(
    signed_user: SignedUser, seconds_left: int, expected: int
) -> None:
    text = f"ann@example.com|{NOW + seconds_left}"
    assert await status(signed_user, f"{text}|{signed_user.sign(text)}") == expected


async def test_nothing_else_comes_in(signed_user: SignedUser) -> None:
    text = f"ann|{NOW + 60}"
    good = f"{text}|{signed_user.sign(text)}"
    assert await status(signed_user, good) == 200
    assert await status(signed_user) == 403
    assert await status(signed_user, good, good) == 403, "one of the two is not the proxy's"
    for bad in ("", text, f"{text}|", good.upper(), good.replace("ann", "bob"), f"{good}0", f"{good},{good}"):
        assert await status(signed_user, bad) == 403, bad


async def test_behind_the_service_the_user_is_in_the_log(signed_user: SignedUser) -> None:
    with service(AUTH="tests.examples.signed_user:check", USER_KEY=KEY) as running:
        text = f"ann|{int(time.time()) + 60}"
        url = f"http://127.0.0.1:{running.port('admin')}/"
        async with ClientSession() as session:
            assert (await session.get(url)).status == 403
            signed = {"X-Signed-User": f"{text}|{signed_user.sign(text)}"}
            assert (await session.get(url, headers=signed)).status == 200
        assert running.event("request", status=200)["user"] == "ann"


def test_without_a_key_the_service_does_not_start() -> None:
    done = run(AUTH="tests.examples.signed_user:check", PORT="0", HELLO_PORT="0", METRICS_PORT="0")
    assert done.returncode == 2
    assert "USER_KEY: expected 64 hexadecimal digits" in done.stderr
