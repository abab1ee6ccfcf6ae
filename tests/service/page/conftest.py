"""A real browser that looks at a service which reads no stream: tests hand it the scores that its page shows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from service.settings.model import Settings
from service.worker.service import Service
from tests.servers.browser import chromium
from tests.service.page.site import NEEDED, Site


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@pytest.fixture
def more_settings() -> dict[str, Any]:
    """Settings besides the usual ones."""
    return {}


@pytest_asyncio.fixture(loop_scope="module")
async def site(tmp_path: Path, more_settings: dict[str, Any]) -> AsyncIterator[Site]:
    usual = {"endpoint_url": "http://127.0.0.1:9", "data_dir": tmp_path, "samples": NEEDED, "recent_scores": 20_000}
    async with Service.open(Settings(**(usual | more_settings))) as service:
        site = Site(service)
        await site.start()
        yield site
        await site.stop()


@pytest.fixture
def problems() -> list[str]:
    """What the browser complained of, and requests to anywhere but the service."""
    return []


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, site: Site, problems: list[str]) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light", locale="en-GB")
    context.set_default_timeout(10_000)
    page = await context.new_page()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: None if request.url.startswith(site.address) else problems.append(request.url))
    yield page
    await context.close()
    assert problems == []
