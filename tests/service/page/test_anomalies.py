"""The list of anomalies: grouped by episode, filtered, sorted by severity; and learning, told alike everywhere."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.service.page.site import ALERT, ANOMALY, Site

pytestmark = pytest.mark.asyncio(loop_scope="module")


def three_episodes(site: Site) -> None:
    """One that turns out to be a drift, a lonely anomaly, and a severe alert."""
    site.score(["boiler", "pump"] * 50, [15.0] * 100)
    start = site.time
    site.score("boiler", [20.0], grade=0.75, kind="level shift", episode=start)
    site.score("boiler", [30.0] * 8, grade=ANOMALY, kind="drift", episode=start)
    site.score("boiler", [31.0], grade=0.8, kind="drift", episode=start)
    site.score("pump", [50.0], grade=0.3)
    site.score("mixer", [70.0], grade=0.95, kind="stuck", episode=site.time)
    site.score("boiler", [15.0] * 20)


async def test_an_episode_is_one_entry_with_its_latest_kind_and_greatest_severity(page: Page, site: Site) -> None:
    three_episodes(site)
    await page.goto(site.address)
    entries = page.locator("#anomalies li")
    await expect(entries).to_have_count(3)
    drift = entries.filter(has_text="boiler")
    await expect(drift).to_contain_text("Alert: drift")
    await expect(drift).to_contain_text("10 anomalies")
    await expect(drift.locator(".severity")).to_have_text("80")
    await expect(page.locator("#anomaly-count")).to_have_text("3")
    await expect(entries.filter(has_text="pump")).to_contain_text("Anomaly: spike")


async def test_the_list_is_filtered_and_sorted(page: Page, site: Site) -> None:
    three_episodes(site)
    await page.goto(site.address)
    names = page.locator("#anomalies .name")
    await expect(names).to_have_text(["mixer", "pump", "boiler"])
    await page.get_by_label("Sort", exact=True).select_option("severest first")
    await expect(names).to_have_text(["mixer", "boiler", "pump"])
    await page.get_by_label("alerts only").check()
    await expect(names).to_have_text(["mixer", "boiler"])
    await page.get_by_label("Kind", exact=True).select_option("drift")
    await expect(names).to_have_text(["boiler"])
    await page.get_by_label("Filter by sensor").fill("mix")
    await expect(names).to_have_count(0)
    await expect(page.get_by_text("None like that among the latest.")).to_be_visible()
    await page.get_by_label("Kind", exact=True).select_option("every kind")
    await expect(names).to_have_text(["mixer"])


async def test_what_comes_while_one_points_waits(page: Page, site: Site) -> None:
    three_episodes(site)
    await page.goto(site.address)
    entries = page.locator("#anomalies li")
    await expect(entries).to_have_count(3)
    await entries.first.hover()
    site.score("furnace", [99.0], grade=ALERT)
    await expect(page.locator("#held")).to_be_visible()
    await expect(entries).to_have_count(3)
    await page.mouse.move(10, 10)
    await expect(entries).to_have_count(4)


async def test_sensors_can_be_sorted_by_severity(page: Page, site: Site) -> None:
    three_episodes(site)
    await page.goto(site.address)
    await expect(page.get_by_role("combobox", name="Sensor")).to_have_value("mixer")
    await page.get_by_role("combobox", name="Sensor").click()
    names = page.locator("#options .name")
    await expect(names).to_have_text(["mixer", "pump", "boiler"])
    await page.locator("#sensor-sort").select_option("severity")
    await expect(names).to_have_text(["mixer", "boiler", "pump"])
    await page.locator("#sensor-sort").select_option("name")
    await expect(names).to_have_text(["boiler", "mixer", "pump"])


async def test_learning_is_the_same_in_chart_badge_list_and_counts(page: Page, site: Site) -> None:
    site.score("new", [15.0] * 30, learning=True)
    site.score("new", [99.0], grade=ALERT, kind="limit", learning=True)
    await page.goto(site.address)
    await expect(page.locator("#state")).to_have_text("Learning 31 / 64")
    await expect(page.locator("#tile-learning b")).to_have_text("1 of 1")
    await expect(page.locator("#range")).to_contain_text("31 readings, 1 anomaly")
    await expect(page.locator("#anomalies a")).to_contain_text("while learning")
    await page.locator("#anomalies a").click()
    await expect(page.locator("#readout")).to_contain_text("Alert: limit (while learning)")
