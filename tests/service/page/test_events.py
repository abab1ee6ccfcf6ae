"""What the page shows of a stream of events."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page, expect

from service.pipeline.event_stage import EventCounts
from tests.service.page.site import Site
from tests.service.sinks.test_index_events import events, windows

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def more_settings() -> dict[str, Any]:
    tables = [
        {"name": "sources", "key": ["source.ip"], "measures": {"n": "count", "mean": "mean network.bytes"}},
        {"name": "other"},
    ]
    return {"event_format": "flow-log", "windows": tables}


async def test_windows_of_a_program_and_the_newest_events_are_shown(page: Page, site: Site) -> None:
    await site.service.index.write([*events(), *windows()])
    site.service.metrics.note_events("shard", EventCounts("flow-log", 6, {"control message": 2}, 3, 3))
    await page.goto(site.address)
    card = page.get_by_role("region", name="Events")
    await expect(card).to_contain_text("6 flow-log, 3 windows, 3 keys, 2 dropped")
    rows = card.locator("#windows tr")
    await expect(rows).to_have_count(3)
    await expect(rows.first).to_contain_text("10.0.0.2")
    await expect(rows.first).to_contain_text("n 3, mean 1.5")
    await expect(card.locator("#events tr")).to_have_count(6)
    await expect(card.locator("#events tr").first).to_contain_text("source.ip 10.0.0.2")
    await card.get_by_role("combobox", name="Windows").select_option("other")
    await expect(card.get_by_text("No window has closed yet.")).to_be_visible()


async def test_a_hostile_key_is_text(page: Page, site: Site) -> None:
    hostile = "<img src=x onerror=document.title='broken'>"
    (first, *_) = windows()
    first.document["window.key"] = hostile
    await site.service.index.write([first])
    await page.goto(site.address)
    await expect(page.locator("#windows")).to_contain_text(hostile)
