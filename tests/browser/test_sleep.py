"""Putting the Machine to sleep from the page, and what the page says and does then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from private_svc.web import throttle
from tests.private_svc.making import FLY
from tests.private_svc.process import service
from tests.private_svc.site import site

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.asyncio(loop_scope="session")]

TOKEN = "correct-horse-battery"  # noqa: S105 - of the test alone
AN_HOUR_MS = 3_600_000


async def ask(page: Page, button: str, token: str) -> None:
    """Fill in the form and confirm."""
    await page.get_by_label("ADMIN_TOKEN").fill(token)
    await page.get_by_role("button", name=button, exact=True).click()
    await page.get_by_role("dialog").get_by_role("button", name=f"{button} it").click()


async def test_a_stop_is_confirmed_done_and_never_undone_by_the_page(page: Page) -> None:
    requests: list[str] = []
    with service(ADMIN_TOKEN=TOKEN) as running:
        await page.clock.install()
        await page.goto(f"http://127.0.0.1:{running.port('admin')}/")
        await ask(page, "Stop", TOKEN)
        await expect(page.locator("#leaving")).to_contain_text("is stopping. This page sends no more requests")
        page.on("request", lambda request: requests.append(request.url))
        assert running.ended() == 0
        await page.mouse.move(30, 30)
        await page.clock.run_for(AN_HOUR_MS)
        assert requests == []
        await expect(page.locator("#machine .pill")).to_have_text("stopping")
        await expect(page.get_by_role("link", name="Wake it")).to_be_focused()
        await expect(page.get_by_label("ADMIN_TOKEN")).to_have_count(0)
        await expect(page.get_by_role("button", name="Continue")).to_be_hidden()


async def test_wake_it_asks_the_machine_again(page: Page) -> None:
    async with site(ADMIN_TOKEN=TOKEN) as here:
        await page.goto(f"http://127.0.0.1:{here.port}/")
        await ask(page, "Stop", TOKEN)
        assert await here.departure.reason() == "asked by ::1"
        async with page.expect_request("**/"):
            await page.get_by_role("link", name="Wake it").click()


async def test_the_action_is_sent_to_the_machine_that_is_shown(page: Page) -> None:
    async with site(ADMIN_TOKEN=TOKEN) as here:
        await page.goto(f"http://127.0.0.1:{here.port}/")
        async with page.expect_request("**/api/sleep") as sent:
            await ask(page, "Stop", TOKEN)
        headers = await (await sent.value).all_headers()
        assert headers["fly-force-instance-id"] == FLY["FLY_MACHINE_ID"]


async def test_the_dialog_works_with_the_keyboard_alone_and_cancel_is_the_default(page: Page) -> None:
    async with site(ADMIN_TOKEN=TOKEN) as here:
        await page.goto(f"http://127.0.0.1:{here.port}/")
        dialog, stop = page.get_by_role("dialog"), page.get_by_role("button", name="Stop", exact=True)
        await page.keyboard.press("Tab")
        await expect(page.get_by_label("ADMIN_TOKEN")).to_be_focused()
        await page.keyboard.type(TOKEN)
        await page.keyboard.press("Tab")
        for refuse in ("Escape", "Enter"):
            await expect(stop).to_be_focused()
            await page.keyboard.press("Enter")
            await expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
            await expect(dialog).to_contain_text(
                "Nothing but your own request keeps this Machine awake, so Fly may stop it."
            )
            await page.keyboard.press(refuse)
            await expect(dialog).to_be_hidden()
        assert not here.departure.decided
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        await expect(dialog.get_by_role("button", name="Stop it")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("link", name="Wake it")).to_be_focused()
        assert here.departure.decided


async def test_no_token_is_asked_for_by_the_browser_itself(page: Page) -> None:
    async with site(ADMIN_TOKEN=TOKEN) as here:
        await page.goto(f"http://127.0.0.1:{here.port}/")
        await page.get_by_role("button", name="Stop", exact=True).click()
        await expect(page.get_by_role("dialog")).to_be_hidden()
        await expect(page.get_by_label("ADMIN_TOKEN")).to_be_focused()


async def test_what_was_agreed_to_is_sent_whatever_the_form_says_since(page: Page) -> None:
    async with site(ADMIN_TOKEN=TOKEN) as here:
        await page.goto(f"http://127.0.0.1:{here.port}/")
        await page.get_by_label("ADMIN_TOKEN").fill(TOKEN)
        await page.get_by_role("button", name="Stop", exact=True).click()
        await page.evaluate("document.getElementById('do').click(), document.getElementById('token').value = 'other'")
        await expect(page.get_by_role("link", name="Wake it")).to_be_focused()
        assert here.departure.decided


LOGIN = """
from aiohttp import web

async def check(request, caller):
    return None if request.headers.get("Authorization") == "Basic YW5uOnB3" else web.Response(status=401)

def make():
    return web.Application()
"""


async def test_wrong_tokens_are_refused_in_words_and_then_told_to_wait(
    page: Page,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(throttle, "SECONDS_A_GUESS", 3600.0)
    async with site(ADMIN_TOKEN=TOKEN) as here:
        await page.goto(f"http://127.0.0.1:{here.port}/")
        result = page.locator("#result")
        for _ in range(throttle.GUESSES):
            await ask(page, "Stop", "wrong")
            await expect(result).to_have_text("Wrong token. Nothing was done.")
        await ask(page, "Stop", "wrong")
        await expect(result).to_contain_text("Too many wrong tokens. Try again in ")
        assert not here.departure.decided
        await ask(page, "Stop", TOKEN)
        await expect(page.get_by_role("link", name="Wake it")).to_be_focused()
        assert here.departure.decided


async def test_behind_a_login_and_below_another_path_its_buttons_and_its_polling_work(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"team_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(LOGIN)
    monkeypatch.syspath_prepend(tmp_path)
    await page.set_extra_http_headers({"Authorization": "Basic YW5uOnB3"})
    async with site(ADMIN_TOKEN=TOKEN, AUTH=f"{name}:check", APP=f"{name}:make", APP_PATH="/") as here:
        await page.goto(f"http://127.0.0.1:{here.port}/_/")
        await ask(page, "Stop", TOKEN)
        await expect(page.get_by_role("link", name="Wake it")).to_be_focused()
        assert here.departure.decided


async def test_where_nothing_can_suspend_it_says_why(page: Page) -> None:
    async with site(ADMIN_TOKEN=TOKEN) as here:
        await page.goto(f"http://127.0.0.1:{here.port}/")
        await ask(page, "Suspend", TOKEN)
        await expect(page.locator("#result")).to_contain_text("Not done (501): there is no /nowhere/api here")


async def test_without_an_answer_it_says_so(page: Page) -> None:
    async with site(ADMIN_TOKEN=TOKEN) as here:
        await page.goto(f"http://127.0.0.1:{here.port}/")
        await page.route("**/api/sleep", lambda route: route.abort())
        await ask(page, "Stop", TOKEN)
        await expect(page.locator("#result")).to_contain_text("No answer")
