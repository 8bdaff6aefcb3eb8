"""The panel, as somebody sees it in a browser."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from private_svc.web.rendering import as_html
from tests.browser.contrast import too_faint
from tests.private_svc.making import FLY
from tests.private_svc.process import service
from tests.private_svc.site import PROXY, site
from tests.private_svc.statuses import SLEEP, crowded

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, Route

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.asyncio(loop_scope="session")]

TOKEN = "t" * 16
FLYCAST = {"Fly-Client-IP": "fdaa:0:18::9"}
PUBLIC = ("Fly-Client-IP: 203.0.113.7", "X-Forwarded-For: 203.0.113.7, 2a09:8280:1::4b:9d2c")
NOTHING = "Nothing but your own request keeps this Machine awake, so Fly may stop it"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


async def test_the_page_of_a_real_service_says_who_you_are_and_how_it_booted(page: Page) -> None:
    with service() as running:
        await page.request.get(f"http://[::1]:{running.port('admin')}/healthz")  # the first response
        await page.goto(f"http://[::1]:{running.port('admin')}/")
        await expect(page.get_by_role("heading", level=1)).to_have_text("private-svc")
        await expect(page.locator("#you")).to_contain_text("You came from this Machine itself")
        await expect(page.locator("#you")).to_contain_text("::1")
        await expect(page.locator("#awake-summary")).to_have_text(NOTHING)
        for phase in ("bound", "imported", "serving", "first accept", "first response"):
            await expect(page.get_by_role("row", name=phase)).to_contain_text(" ms")
        await expect(page.locator("rect").nth(1)).to_be_visible()
        await expect(page.get_by_role("main")).to_contain_text(f":{running.port('hello')}, reached by")
        await expect(page.get_by_text("Machines of this app")).to_have_count(0)
        await expect(page.locator("#updating")).to_have_text("Updated every 5 s")


async def test_it_shows_exactly_who_keeps_the_machine_awake(page: Page) -> None:
    async with site(PROXY) as here:
        await page.set_extra_http_headers(FLYCAST)
        held = asyncio.create_task(here.ask("/held", "Fly-Client-IP: fdaa:0:18::7"))
        await here.entered.wait()
        await page.goto(f"http://127.0.0.1:{here.port}/")
        await expect(page.locator("#awake-summary")).to_have_text("1 request keeps this Machine awake")
        await expect(page.locator("#awake tr").first).to_contain_text("GET /held")
        await expect(page.locator("#awake tr").first).to_contain_text("flycast fdaa:0:18::7")
        await expect(page.locator("#awake tr").first.locator(".pill")).to_have_text("keeps it awake")
        here.release.set()
        await held


async def test_the_banner_names_the_address_and_the_command_that_takes_it_away(page: Page) -> None:
    async with site(PROXY) as here:
        assert (await here.ask("/", *PUBLIC)).status == 403
        await page.set_extra_http_headers(FLYCAST)
        await page.goto(f"http://127.0.0.1:{here.port}/")
        banner = page.get_by_role("alert")
        await expect(banner).to_contain_text("1 request came through a public address, 1 caller refused.")
        await expect(banner).to_contain_text(f"fly ips release 2a09:8280:1::4b:9d2c -a {FLY['FLY_APP_NAME']}")
        for dark in (False, True):
            await page.emulate_media(color_scheme="dark" if dark else "light")
            assert await too_faint(page) == []


async def test_nothing_needs_a_horizontal_scroll_from_320_pixels_on(page: Page) -> None:
    crowd = as_html(replace(crowded("long" * 30), sleep=SLEEP), "long" * 30)
    async with site() as here:
        await page.route("**/", lambda route: route.fulfill(body=crowd, content_type="text/html"))
        await page.goto(f"http://127.0.0.1:{here.port}/")
        for open_dialog in (False, True):
            if open_dialog:
                await page.get_by_label("ADMIN_TOKEN").fill("x")
                await page.get_by_role("button", name="Stop").click()
                await expect(page.get_by_role("dialog")).to_be_visible()
            for width in (320, 360, 545, 700, 961, 1280):
                await page.set_viewport_size({"width": width, "height": 740})
                assert await page.evaluate(OVERFLOW) <= 0, f"at {width} px, {open_dialog=}"


async def test_light_and_dark_differ_and_both_can_be_read(page: Page) -> None:
    async with site(ADMIN_TOKEN=TOKEN) as here:
        grounds = set()
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            await page.goto(f"http://127.0.0.1:{here.port}/")
            grounds.add(await page.evaluate("getComputedStyle(document.body).backgroundColor"))
            assert await too_faint(page) == [], scheme
            await page.get_by_label("ADMIN_TOKEN").fill("x")
            await page.get_by_role("button", name="Stop").click()
            assert await too_faint(page) == [], f"{scheme}, with the dialog open"
        assert len(grounds) == 2


async def test_nothing_moves_for_who_asked_for_less_motion(page: Page) -> None:
    async with site() as here:
        await page.goto(f"http://127.0.0.1:{here.port}/")
        assert await page.evaluate("document.getAnimations().length") > 0
        await page.emulate_media(reduced_motion="reduce")
        assert await page.evaluate("document.getAnimations().length") == 0


async def test_without_script_it_shows_the_same_and_how_to_go_on(browser: Browser) -> None:
    window = await browser.new_context(java_script_enabled=False)
    async with site(ADMIN_TOKEN=TOKEN) as here, window:
        page = await window.new_page()
        await page.goto(f"http://127.0.0.1:{here.port}/")
        await expect(page.locator("#awake-summary")).to_be_visible()
        await expect(page.locator("noscript p")).to_contain_text(
            "Without JavaScript, this page does not update: reload"
        )
        await expect(page.locator("noscript p")).to_be_visible()
        await expect(page.locator("#sleep .code")).to_contain_text("curl -X POST -H")
        await expect(page.get_by_label("ADMIN_TOKEN")).to_be_hidden()
        await expect(page.locator("#updates")).to_be_hidden()


async def test_the_page_has_one_landmark_of_a_kind_and_a_name_for_every_control(page: Page) -> None:
    async with site(ADMIN_TOKEN=TOKEN) as here:
        await page.goto(f"http://127.0.0.1:{here.port}/")
        for role in ("banner", "main", "contentinfo"):
            await expect(page.locator("body").get_by_role(role)).to_have_count(1)
        await page.get_by_label("ADMIN_TOKEN").fill("x")
        await page.get_by_role("button", name="Suspend").click()
        await expect(page.get_by_role("dialog")).to_have_accessible_name(f"Suspend Machine {FLY['FLY_MACHINE_ID']}?")


async def test_a_panel_below_another_path_asks_for_nothing_outside_of_it(page: Page) -> None:
    async with site(ADMIN_TOKEN=TOKEN) as here:
        mounted, asked = f"http://127.0.0.1:{here.port}/_/", []

        async def serve_below(route: Route) -> None:
            asked.append(route.request.url)
            await route.fulfill(response=await route.fetch(url=route.request.url.replace("/_/", "/")))

        await page.route("**/*", serve_below)
        await page.clock.install()
        await page.goto(mounted)
        async with page.expect_response(mounted):
            await page.clock.run_for(5_000)
        await page.get_by_label("ADMIN_TOKEN").fill(TOKEN)
        await page.get_by_role("button", name="Stop").click()
        await page.get_by_role("dialog").get_by_role("button", name="Stop it").click()
        await expect(page.get_by_role("link", name="Wake it")).to_be_focused()
        assert here.departure.decided
        assert [url for url in asked if not url.startswith(mounted)] == []
        names = ("", "static/panel.css", "static/panel.js", "static/icon.svg", "api/sleep")
        assert {mounted + name for name in names} <= set(asked)
        for name, target in (("JSON", "api/status"), ("what your browser sent", "whoami"), ("Wake it", "")):
            href = await page.get_by_role("link", name=name).evaluate("(link) => link.href")
            assert href == mounted + target
