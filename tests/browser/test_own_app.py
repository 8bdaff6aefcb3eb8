"""The example of docs/adapting.md in a browser: its forms work, though no other site's do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.private_svc.process import service

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.asyncio(loop_scope="session")]


async def test_a_form_of_the_own_application_works_over_plain_http(page: Page) -> None:
    """A browser trusts loopback more than a .flycast name; 0.0.0.0 leads here and is trusted as little."""
    with service(APP="tests.examples.flags:make") as running:
        await page.goto(f"http://0.0.0.0:{running.port('admin')}/app")
        async with page.expect_request(lambda request: request.method == "POST") as sent:
            await page.get_by_label("New flag").fill("beta")
            await page.get_by_role("button", name="Add").click()
        headers = await (await sent.value).all_headers()
        assert "sec-fetch-site" not in headers, "else this is not what happens over Flycast"
        await page.get_by_text("beta is off").wait_for()
        await page.get_by_role("button", name="Turn").click()
        await page.get_by_text("beta is on").wait_for()
