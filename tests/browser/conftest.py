"""One Chromium for the session; a test fails when its page breaks the policy or logs an error."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page

PATIENCE_MS = 15_000
OPTIONS = [
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    *(["--no-sandbox"] if os.getuid() == 0 else []),
]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    from playwright.async_api import async_playwright, expect  # noqa: PLC0415 - only where there is a browser to drive

    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=OPTIONS)
        yield started
        await started.close()


@pytest_asyncio.fixture(loop_scope="session")
async def window(browser: Browser) -> AsyncIterator[BrowserContext]:
    """Give each test a browser of its own, without memory of others."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    yield context
    await context.close()


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """Collect what a page complains of; a test that provokes one takes it out."""
    heard: list[str] = []
    yield heard
    assert heard == []


@pytest_asyncio.fixture(loop_scope="session")
async def page(window: BrowserContext, complaints: list[str]) -> Page:
    """Give a page whose complaints fail the test; that an action was refused is an answer, not a complaint."""

    def hear(said: ConsoleMessage) -> None:
        refused = said.text.startswith("Failed to load resource") and said.location["url"].endswith("/api/sleep")
        if said.type in {"error", "warning"} and not refused:
            complaints.append(said.text)

    opened = await window.new_page()
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", hear)
    return opened


@pytest.fixture(autouse=True)
def _tier(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("browser"), "a test here needs the marker `browser`"
