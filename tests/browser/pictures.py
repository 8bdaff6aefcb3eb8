"""Make docs/images anew: `python -m tests.browser.pictures`, on a machine that has the lab and Chromium.

The panel of the blueprint itself, in a lab of three Machines, as a shell Machine's browser sees it over Flycast.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

if TYPE_CHECKING:
    from playwright.sync_api import Page

PROJECT = Path(__file__).resolve().parents[2]
IMAGES = PROJECT / "docs" / "images"
HOST = "private-svc.flycast"
INSIDE = "--inside"
SETTINGS = '[env]\nADMIN_TOKEN = "the-pictures-need-a-form"\nAPP = "tests.browser.pictures_app:make"\n'
DESKTOP, PHONE = {"width": 1200, "height": 790}, {"width": 360, "height": 900}
PATIENCE_SECONDS = 30.0
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
BUSY = (("/app/reports/monthly",), ("/app/live", *UPGRADE, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="))


def main() -> int:
    """Run this module again on a shell Machine of a lab."""
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "fly.toml"
        config.write_text((PROJECT / "fly.toml").read_text().replace("[env]\n", SETTINGS, 1))
        shutil.copy(PROJECT / "Dockerfile", directory)
        lab = [sys.executable, "-m", "lab", "run", "--config", str(config), "--scale", "ams=1,cdg=1,iad=1"]
        lab += ["--autostop-interval", "1", "--", sys.executable, "-m", "tests.browser.pictures", INSIDE]
        return subprocess.run(lab, cwd=PROJECT, check=False).returncode


def inside() -> None:
    """Keep one Machine busy, wait until another sleeps, and take the pictures."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only here, on the shell Machine

    with ExitStack() as waiting, sync_playwright() as playwright:
        for lines in BUSY:
            waiting.enter_context(asked(*lines))
        until_others_sleep()
        options = ["--disable-lcd-text", *(["--no-sandbox"] if os.getuid() == 0 else [])]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=options)
        for name, size, dark in (
            ("panel", DESKTOP, False),
            ("panel-dark", DESKTOP, True),
            ("panel-phone", PHONE, False),
        ):
            page = browser.new_page(viewport=size, color_scheme="dark" if dark else "light")  # type: ignore[arg-type] # a TypedDict
            take(page, IMAGES / f"{name}.png")
            page.close()
        browser.close()


def asked(path: str, *headers: str) -> socket.socket:
    """Ask for `path`, and return the connection that waits for the answer."""
    connection = socket.create_connection((HOST, 80))
    connection.sendall("\r\n".join([f"GET {path} HTTP/1.1", f"Host: {HOST}", *headers, "", ""]).encode())
    return connection


def until_others_sleep() -> None:
    """Return once the busy Machine is the only one that can answer, and knows it."""
    deadline_s = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline_s:
        with urlopen(f"http://{HOST}/api/status", timeout=PATIENCE_SECONDS) as answer:
            status = json.load(answer)
        asleep = [it for it in status["peers"]["machines"] or () if not it["started"]]
        if asleep and len(status["kept_awake_by"]) == len(BUSY):
            return
        time.sleep(0.5)
    raise TimeoutError(f"expected one busy Machine and others asleep, got {status['kept_awake_by']}, {status['peers']}")


def take(page: Page, path: Path) -> None:
    """Save what the panel looks like once it knows its Machines."""
    page.goto(f"http://{HOST}/")
    page.locator("#machines .asleep").first.wait_for(timeout=PATIENCE_SECONDS * 1000)
    page.screenshot(path=path, animations="disabled")
    print(f"{path.relative_to(PROJECT)}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    if INSIDE in sys.argv:
        inside()
    else:
        sys.exit(main())
