"""What the page says when something is wrong: the index away, everything in the dead letters; and its links."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from service.pipeline.records import DeadLetter, Position, Record
from service.worker.dead_letter_monitor import REMEDY
from tests.service.page.site import ALERT, START, Site

pytestmark = pytest.mark.asyncio(loop_scope="module")

DASHBOARDS = "https://search.example/_dashboards"


def letter(reason: str) -> DeadLetter:
    return DeadLetter("RawStreamData", "shardId-0", Record(Position(1), "key", START, b"{}"), "no_sensor", reason)


async def test_everything_in_the_dead_letters_is_said_with_the_remedy(page: Page, site: Site) -> None:
    site.service.dead_letter_monitor.note([letter("iotName is missing, so the reading has no sensor")] * 40)
    await page.goto(site.address)
    banner = page.get_by_role("alert")
    await expect(banner).to_contain_text("Nothing can be scored. All 40 records of the last minute")
    await expect(banner).to_contain_text("iotName is missing, so the reading has no sensor (no_sensor)")
    await expect(banner).to_contain_text(f"What to do: {REMEDY}.")
    await expect(page.locator("#empty")).to_contain_text("No reading yet that can be scored")
    await page.get_by_role("button", name="Show them").click()
    await expect(page.get_by_role("dialog")).to_be_visible()


async def test_some_dead_letters_are_said_less_loudly(page: Page, site: Site) -> None:
    site.service.dead_letter_monitor.note([letter("iotName is missing")])
    site.service.dead_letter_monitor.note_scored(100)
    await page.goto(site.address)
    await expect(page.get_by_role("alert")).to_contain_text(
        "Some records cannot be scored. 1 record in the last minute"
    )


@pytest.mark.parametrize("more_settings", [{"opensearch_url": "http://127.0.0.1:9"}], ids=["opensearch"])
async def test_with_the_index_away_memory_is_shown_and_the_tile_is_red(page: Page, site: Site) -> None:
    site.score("pump", [15.0] * 100)
    site.score("pump", [99.0], grade=ALERT)
    at = site.time - 100
    site.score("pump", [15.0] * 100)
    await page.goto(f"{site.address}/?sensor=pump")
    await expect(page.locator("#tile-index")).to_have_attribute("data-state", "bad")
    await expect(page.locator("#range")).to_contain_text("201 readings, 1 anomaly")
    await expect(page.locator("#anomalies a")).to_contain_text("Alert: spike")
    await page.goto(f"{site.address}/?sensor=pump&from={at - 3_600_000}&to={at + 3_600_000}")
    await expect(page.locator("#range")).to_contain_text("the index is away: older readings are missing")
    await expect(page.locator("#lost")).to_be_hidden()


@pytest.mark.parametrize("more_settings", [{"opensearch_url": "http://127.0.0.1:9"}], ids=["opensearch"])
async def test_with_the_index_away_from_the_start_the_page_names_the_index(page: Page, site: Site) -> None:
    await page.goto(site.address)
    said = page.locator("#empty")
    await expect(said).to_contain_text("The index does not answer")
    await expect(said).to_contain_text("http://127.0.0.1:9")
    await expect(page.get_by_text("No readings yet")).to_be_hidden()
    site.score("pump", [15.0] * 20)
    await expect(page.get_by_role("combobox", name="Sensor")).to_have_value("pump")
    await expect(said).to_be_hidden()


@pytest.mark.parametrize("more_settings", [{"dashboards_url": DASHBOARDS}], ids=["dashboards"])
async def test_the_page_links_to_what_lies_beside_it(page: Page, site: Site) -> None:
    await page.goto(site.address)
    for name, address in (("API", "docs"), ("Metrics", "metrics"), ("Dashboards", DASHBOARDS)):
        await expect(page.get_by_role("link", name=name)).to_have_attribute("href", address)
