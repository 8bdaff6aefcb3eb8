"""An open page is current while somebody looks at it, and must not keep the Machine awake."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.private_svc.site import site

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.private_svc.site import Site

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.asyncio(loop_scope="session")]

POLL_MS, LOOKING_MS, AN_HOUR_MS = 5_000, 60_000, 3_600_000
POLLS_A_MINUTE = LOOKING_MS // POLL_MS
PAUSED = "Paused: an open page must not keep the Machine awake"
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


async def opened(page: Page, here: Site) -> None:
    """Open the page with a clock that this test turns."""
    await page.clock.install(time=0)
    await page.clock.pause_at(1)
    await page.goto(f"http://127.0.0.1:{here.port}/")
    await expect(page.locator("#updating")).to_have_text("Updated every 5 s")


async def polled(page: Page, times: int = 1) -> None:
    """Let the time to the next poll pass, and wait until its answer is shown: before that there is no other poll."""
    served = page.locator("#served")
    for _ in range(times):
        before = await served.text_content()
        await page.clock.run_for(POLL_MS)
        await expect(served).not_to_have_text(before or "")


def asked(here: Site) -> int:
    return sum(here.activity.requests.values())


async def test_news_come_by_themselves_and_go_to_where_they_belong(page: Page) -> None:
    async with site() as here:
        await opened(page, here)
        held = asyncio.create_task(here.ask("/held"))
        await here.entered.wait()
        await polled(page)
        await expect(page.locator("#awake-summary")).to_have_text(
            "1 request keeps this Machine awake; it came directly, so Fly Proxy does not count it"
        )
        await expect(page.locator("#awake")).to_contain_text("GET /held")
        here.release.set()
        await held
        await polled(page)
        await expect(page.locator("#awake-summary")).to_have_text(
            "Nothing but your own request keeps this Machine awake, so Fly may stop it"
        )


async def test_a_poll_leaves_focus_scroll_selection_and_what_was_typed_alone(page: Page) -> None:
    async with site(ADMIN_TOKEN="t" * 16) as here:
        await page.set_viewport_size({"width": 360, "height": 500})
        await opened(page, here)
        await page.get_by_label("ADMIN_TOKEN").fill("half a tok")
        await page.evaluate(
            "scrollTo(0, 300); getSelection().selectAllChildren(document.querySelector('#facts tr + tr td'))"
        )
        before = await page.evaluate("[scrollY, String(getSelection())]")
        await polled(page)
        assert await page.evaluate("[scrollY, String(getSelection())]") == before == [300, "private-<svc>"]
        await expect(page.get_by_label("ADMIN_TOKEN")).to_have_value("half a tok")


async def test_after_a_minute_without_pointer_or_keyboard_it_asks_nothing_more_until_told_to(page: Page) -> None:
    async with site() as here:
        await opened(page, here)
        await polled(page, POLLS_A_MINUTE - 1)
        await page.clock.run_for(POLL_MS)
        await expect(page.locator("#updating")).to_have_text(PAUSED)
        before = asked(here)
        await page.clock.run_for(AN_HOUR_MS)
        await page.mouse.move(30, 30)  # looking is not asking: the Machine may sleep by now
        await page.clock.run_for(LOOKING_MS)
        assert asked(here) == before
        async with page.expect_response(lambda response: response.url.endswith("/")):
            await page.get_by_role("button", name="Continue").click()
        await expect(page.locator("#updating")).to_have_text("Updated every 5 s")
        await expect(page.get_by_role("button", name="Continue")).to_be_hidden()
        await polled(page)


@pytest.mark.parametrize("sign", ["pointer", "key"])
async def test_who_moves_the_pointer_or_types_is_there(page: Page, sign: str) -> None:
    async with site() as here:
        await opened(page, here)
        await polled(page, POLLS_A_MINUTE - 1)
        if sign == "pointer":
            await page.mouse.move(30, 30)
        else:
            await page.keyboard.press("Shift")
        await polled(page, POLLS_A_MINUTE - 1)


async def test_a_hidden_page_asks_nothing_and_is_paused_after_a_minute(page: Page) -> None:
    async with site() as here:
        await opened(page, here)
        await polled(page)
        before = asked(here)
        await page.evaluate(HIDE, arg=True)
        await page.clock.run_for(LOOKING_MS)
        await page.clock.run_for(AN_HOUR_MS)
        await page.evaluate(HIDE, arg=False)
        await page.clock.run_for(LOOKING_MS)
        assert asked(here) == before
        await expect(page.locator("#updating")).to_have_text(PAUSED)


async def test_a_page_that_was_hidden_for_a_moment_goes_on(page: Page) -> None:
    async with site() as here:
        await opened(page, here)
        await page.evaluate(HIDE, arg=True)
        await page.clock.run_for(POLL_MS * 2)
        await page.evaluate(HIDE, arg=False)
        await polled(page)


async def test_a_poll_without_an_answer_is_the_last(page: Page, complaints: list[str]) -> None:
    async with site() as here:
        await opened(page, here)
        await page.route("**/", lambda route: route.abort())
        await page.clock.run_for(POLL_MS)
        await expect(page.locator("#updating")).to_have_text("Paused: the Machine did not answer")
        await expect(page.get_by_role("button", name="Continue")).to_be_visible()
        assert complaints.pop() == "Failed to load resource: net::ERR_FAILED"
        await page.clock.run_for(AN_HOUR_MS)


async def test_a_machine_that_drains_is_left_alone(page: Page) -> None:
    async with site() as here:
        await opened(page, here)
        held = asyncio.create_task(here.ask("/held"))
        await here.entered.wait()
        page_html = (await here.ask("/", "Accept: text/html")).text.replace(
            'data-state="awake"', 'data-state="draining"'
        )
        await page.route("**/", lambda route: route.fulfill(body=page_html, content_type="text/html"))
        await page.clock.run_for(POLL_MS)
        await expect(page.locator("#leaving")).to_contain_text("is draining. This page sends no more requests")
        before = asked(here)
        await page.unroute("**/")
        await page.clock.run_for(AN_HOUR_MS)
        assert asked(here) == before
        here.release.set()
        await held
