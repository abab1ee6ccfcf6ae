"""The chart: zooming, moving, selecting, going from anomaly to anomaly, gaps, and several values."""

from __future__ import annotations

import re

import numpy as np
import pytest
from playwright.async_api import Page, expect

from detector.liveness import SilenceEvent
from tests.service.page.site import ALERT, ANOMALY, START, STEP, Site, painted

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIVE = {"value_fields": {name: name for name in ("a", "b", "c", "d", "e")}, "value_units": {"b": "bar"}}
THIRTY = {"value_fields": {f"v{n}": f"v{n}" for n in range(30)}}
A_SPAN = re.compile(r"from=\d+&to=\d+")


async def drag(page: Page, start: float, end: float) -> None:
    """Drag across the chart, from one part of its width to another."""
    box = await page.get_by_role("slider").bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 3
    await page.mouse.move(box["x"] + start * box["width"], y)
    await page.mouse.down()
    await page.mouse.move(box["x"] + end * box["width"], y, steps=3)
    await page.mouse.up()


async def test_what_one_drags_across_is_shown_until_one_goes_back_to_live(page: Page, site: Site) -> None:
    site.score("pump", np.sin(np.arange(1000)))
    await page.goto(f"{site.address}/?sensor=pump")
    foot = page.locator("#range")
    await expect(foot).to_contain_text("1,000 readings")
    await drag(page, 0.4, 0.6)
    await expect(page).to_have_url(A_SPAN)
    await expect(foot).to_contain_text(re.compile(r"^2\d\d readings"))
    await expect(page.locator("#connection")).to_have_text("Held")
    site.score("pump", [1.0])
    await page.keyboard.press("Escape")
    await expect(page.locator("#connection")).to_have_text("Live")
    await expect(foot).to_contain_text("1,000 readings")
    await page.go_back()
    await expect(page.locator("#connection")).to_have_text("Held")


async def test_zooming_out_and_moving_load_what_lies_beyond(page: Page, site: Site) -> None:
    site.score("pump", np.sin(np.arange(3000)))
    await page.goto(f"{site.address}/?sensor=pump")
    foot = page.locator("#range")
    await expect(foot).to_contain_text("1,000 readings")
    await page.get_by_role("button", name="Zoom out").click()
    await expect(foot).to_contain_text(re.compile(r"^1,(49|50)\d readings"))  # on the one side where there are any
    for _ in range(4):
        await page.get_by_role("slider").press("Shift+ArrowLeft")
    await expect(foot).to_contain_text(re.compile(r"^1,50\d readings.* 08:00:00 –"))


async def test_the_wheel_zooms_where_the_page_has_nothing_to_scroll(page: Page, site: Site) -> None:
    site.score("pump", np.sin(np.arange(1000)))
    await page.goto(f"{site.address}/?sensor=pump")
    await expect(page.locator("#range")).to_contain_text("1,000 readings")
    await page.get_by_role("slider").hover()
    await page.mouse.wheel(0, -600)
    await expect(page).to_have_url(A_SPAN)
    await expect(page.locator("#range")).not_to_contain_text("1,000 readings")


async def test_a_time_range_can_be_chosen(page: Page, site: Site) -> None:
    site.score("pump", np.sin(np.arange(3000)))
    await page.goto(f"{site.address}/?sensor=pump&readings=200")
    await expect(page.locator("#range")).to_contain_text("200 readings")
    await page.get_by_text("Time range").click()
    await page.get_by_role("button", name="15 min").click()
    await expect(page.locator("#range")).to_contain_text("3,000 readings")
    await page.get_by_text("Time range").click()
    await expect(page.locator("#span-from")).to_have_value("2027-01-15T07:49:59")  # filled in a moment after it opens
    start = await page.locator("#span-from").input_value()
    await page.locator("#span-to").fill(start)
    await page.get_by_role("button", name="Show", exact=True).click()
    assert await page.locator("#span-from").evaluate("field => field.validationMessage") != ""
    await page.locator("#span-from").fill("2020-01-01T00:00:00")
    await page.locator("#span-to").fill("2020-01-02T00:00:00")
    await page.get_by_role("button", name="Show", exact=True).click()
    await expect(page.get_by_text("Nothing at that time")).to_be_visible()


async def test_one_goes_from_anomaly_to_anomaly_past_those_of_the_same_episode(page: Page, site: Site) -> None:
    site.score("pump", [15.0] * 100)
    first = site.time
    site.score("pump", [90.0], grade=ALERT, episode=first)
    site.score("pump", [80.0] * 5, grade=ANOMALY, episode=first)
    site.score("pump", [15.0] * 100)
    second = site.time
    site.score("pump", [95.0], grade=ALERT, episode=second)
    site.score("pump", [15.0] * 2000)
    await page.goto(f"{site.address}/?sensor=pump")
    await expect(page.locator("#range")).to_contain_text("1,000 readings")
    await page.get_by_role("button", name="Previous anomaly").click()
    await expect(page).to_have_url(re.compile(f"at={second}"))
    await expect(page.locator("#readout")).to_contain_text("Alert: spike")
    await page.keyboard.press("p")
    await expect(page).to_have_url(re.compile(f"at={first + 5 * STEP}"))
    await expect(page.locator("#readout")).to_contain_text("Anomaly: spike")
    await page.keyboard.press("n")
    await expect(page).to_have_url(re.compile(f"at={second}"))
    await expect(page.locator("#readout")).to_contain_text("Alert: spike")
    await page.keyboard.press("n")
    await expect(page.locator("#hint")).to_have_text("No later anomaly of pump.")


async def test_an_alert_whose_score_lies_below_the_threshold_says_why_it_is_one(page: Page, site: Site) -> None:
    site.score("pump", [15.0] * 50)
    at = site.time
    site.score("pump", [16.0], grade=ALERT, score=1.5, episode=at)
    await page.goto(f"{site.address}/?sensor=pump&at={at}")
    await expect(page.locator("#readout")).to_contain_text("alert score6.5")
    await expect(page.locator("#readout")).to_contain_text("by its last readings together")


async def test_the_last_reading_before_a_silence_reads_as_its_alert(page: Page, site: Site) -> None:
    site.score("pump", [15.0] * 50)
    since = site.time - STEP
    silence = SilenceEvent(row=0, sensor="pump", since=since, time=since + 60_000, silence_timeout=1000.0)
    site.score("other", [1.0], silences=[silence])
    await page.goto(f"{site.address}/?sensor=pump")
    await expect(page.locator("#range")).to_contain_text("50 readings, 1 anomaly")
    await page.locator("#anomalies a").click()
    await expect(page.locator("#readout")).to_contain_text("Alert: silent from here on")
    await expect(page.locator("#anomalies a")).to_have_attribute("aria-current", "true")


async def test_a_gap_is_drawn_as_a_gap(page: Page, site: Site) -> None:
    site.score("pump", [15.0, 16.0] * 100)
    await page.goto(f"{site.address}/?sensor=pump")
    await expect(page.locator("#range")).to_contain_text("200 readings")
    site.time += 20_000
    site.score("pump", [15.0, 16.0] * 100)
    await expect(page.locator("#range")).to_contain_text("400 readings")
    await painted(page, "nothing", least=2000)


@pytest.mark.parametrize("more_settings", [FIVE], ids=["five values"])
async def test_five_values_fit_and_the_one_to_blame_is_named(page: Page, site: Site) -> None:
    values = np.sin(np.arange(300)[:, None] / 9 + np.arange(5)) + 20
    site.score("pump", values)
    site.score("pump", [[20.0, 99.0, 20.0, 20.0, 20.0]], grade=ALERT, kind="level shift", blamed=1)
    site.score("pump", values)
    await page.goto(f"{site.address}/?sensor=pump")
    await expect(page.locator("#now")).to_contain_text("bar")
    await expect(page.locator("#anomalies a")).to_contain_text("b 99 bar instead of 15")
    chart = page.get_by_role("slider")
    assert await chart.evaluate("chart => chart.scrollHeight <= chart.clientHeight")
    await painted(page, "score", least=50)
    await page.locator("#anomalies a").click()
    await expect(page.locator("#readout .blamed")).to_have_text("b99 bar")


@pytest.mark.parametrize("more_settings", [THIRTY], ids=["thirty values"])
async def test_thirty_values_scroll_above_a_score_that_stays(page: Page, site: Site) -> None:
    site.score("pump", np.sin(np.arange(300)[:, None] / 9 + np.arange(30)))
    await page.goto(f"{site.address}/?sensor=pump")
    chart = page.get_by_role("slider")
    await painted(page, "score", least=50)
    assert await chart.evaluate("chart => chart.scrollHeight > 2 * chart.clientHeight")
    await chart.evaluate("chart => chart.scrollTo(0, chart.scrollHeight)")
    await painted(page, "score", least=50)
    await painted(page, "value", least=100)


async def test_a_span_in_the_address_is_shown(page: Page, site: Site) -> None:
    site.score("pump", [15.0] * 500)
    await page.goto(f"{site.address}/?sensor=pump&from={START + 100 * STEP}&to={START + 199 * STEP}")
    await expect(page.locator("#range")).to_contain_text("100 readings")
