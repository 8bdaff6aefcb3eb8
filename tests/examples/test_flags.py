from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import ClientSession

from tests.examples import flags
from tests.private_svc.process import service

if TYPE_CHECKING:
    from aiohttp.pytest_plugin import AiohttpClient


async def test_a_flag_is_added_shown_and_turned(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(flags.make())
    assert "new-checkout is off" in await (await client.post("/", data={"name": "new-checkout"})).text()
    assert "new-checkout is on" in await (await client.post("/turn", data={"name": "new-checkout"})).text()


async def test_a_name_that_cannot_be_one_is_refused(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(flags.make())
    for name in ("", "<script>", "Upper", "x" * 41):
        assert (await client.post("/", data={"name": name})).status == 400
    assert (await client.post("/turn", data={"name": "nope"})).status == 404


async def test_behind_the_service_it_knows_its_caller_and_another_sites_page_cannot_turn_a_flag() -> None:
    with service(APP="tests.examples.flags:make") as running:
        url = f"http://127.0.0.1:{running.port('admin')}/app"
        async with ClientSession() as session:
            page = await (await session.post(f"{url}/", data={"name": "beta"})).text()
            assert "beta is off" in page
            assert "You came in by loopback, as 127.0.0.1." in page
            evil = {"Origin": "http://evil.example"}
            assert (await session.post(f"{url}/turn", data={"name": "beta"}, headers=evil)).status == 403
            assert "beta is off" in await (await session.get(url)).text()


async def test_with_the_token_alone_every_flag_is_forgotten() -> None:
    token = "correct-horse-battery-staple"  # noqa: S105 - it opens nothing but this test
    with service(APP="tests.examples.flags:make", ADMIN_TOKEN=token) as running:
        url = f"http://127.0.0.1:{running.port('admin')}/app/"
        async with ClientSession() as session:
            await session.post(url, data={"name": "beta"})
            assert (await session.delete(url)).status == 401
            assert (await session.delete(url, headers={"X-Admin-Token": "wrong"})).status == 401
            assert "beta is off" in await (await session.get(url)).text()
            assert (await session.delete(url, headers={"X-Admin-Token": token})).status == 204
            assert "beta" not in await (await session.get(url)).text()
        assert running.event("audit", outcome="accepted")["action"] == "forget every flag"
