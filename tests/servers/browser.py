"""A real Chromium for tests of the page.

It is the one that ``$CUTWATER_TEST_CHROMIUM`` names, else the first on the PATH, else Playwright's own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, BrowserType, async_playwright

from tests.servers import unavailable

VARIABLE = "CUTWATER_TEST_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A headless Chromium; the test is skipped where there is none."""
    async with async_playwright() as playwright:
        path = _find(playwright.chromium)
        if path is None:
            unavailable(f"no Chromium: install one, or let {VARIABLE} name it")
        browser = await playwright.chromium.launch(executable_path=path)
        try:
            yield browser
        finally:
            await browser.close()


def _find(playwrights: BrowserType) -> str | None:
    if named := os.environ.get(VARIABLE):
        return named
    installed = next(filter(None, map(shutil.which, NAMES)), None)
    own = playwrights.executable_path
    return installed or (own if Path(own).exists() else None)
