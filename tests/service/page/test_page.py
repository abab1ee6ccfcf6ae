"""The page in a real browser, on the real application: only the readings are made up."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from playwright.async_api import Page, Route, expect

from service.pipeline.documents import index_documents
from service.pipeline.records import DeadLetter, Position, Record
from tests.service.page.site import ALERT, NEEDED, START, Site, painted, pixels

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = "<img src=x onerror=document.title='broken'>\"'`&amp;${1}\u202e</script>"


async def test_readings_and_an_anomaly_arrive_while_one_looks(page: Page, site: Site) -> None:
    await page.goto(site.address)
    await expect(page.get_by_text("No readings yet")).to_be_visible()

    site.score("DemoSensor", [15.0, 16.0] * 150)
    await expect(page.get_by_role("combobox", name="Sensor")).to_have_value("DemoSensor")
    await expect(page).to_have_url(f"{site.address}/?sensor=DemoSensor")
    await expect(page.locator("#range")).to_contain_text("300 readings, 0 anomalies")
    await painted(page, "value", least=100)
    assert await pixels(page, "high") == 0

    site.score("DemoSensor", [117.0], grade=ALERT)
    site.score("DemoSensor", [15.0, 16.0] * 10)
    await expect(page.locator("#range")).to_contain_text("321 readings, 1 anomaly")
    await expect(page.get_by_role("slider")).to_have_attribute("aria-label", re.compile("321 readings, 1 anomaly"))
    entry = page.get_by_role("listitem").filter(has_text="DemoSensor")
    await expect(entry).to_contain_text("Alert: spike")
    await expect(entry).to_contain_text("117 instead of 15")
    await expect(entry.locator(".severity")).to_have_text("90")
    await expect(page.locator("#spoken")).to_contain_text(
        "Alert on DemoSensor: spike, iotValue 117 instead of 15, severity 90"
    )
    await painted(page, "high", least=10)


async def test_every_reading_of_a_fast_sensor_is_drawn(page: Page, site: Site) -> None:
    site.score("fast", [1.0])
    await page.goto(f"{site.address}/?sensor=fast&readings=5000")
    await expect(page.locator("#range")).to_contain_text("1 reading,")
    for _ in range(40):
        site.score("fast", np.sin(np.arange(100)).tolist())
        await page.wait_for_timeout(5)
    await expect(page.locator("#range")).to_contain_text("4,001 readings")


async def test_between_history_and_live_nothing_is_lost_or_doubled(page: Page, site: Site) -> None:
    async def answer_late(route: Route) -> None:
        site.score("DemoSensor", [1.0] * 10)  # come both ways
        history = await route.fetch()
        site.score("DemoSensor", [1.0] * 10)  # come live before the history is there
        await page.wait_for_timeout(200)
        await route.fulfill(response=history)

    site.score("DemoSensor", [1.0] * 10)
    await page.route(re.compile(r"/scores\?sensor="), answer_late)
    await page.goto(f"{site.address}/?sensor=DemoSensor")
    await expect(page.locator("#range")).to_contain_text("30 readings")
    site.score("DemoSensor", [1.0])
    await expect(page.locator("#range")).to_contain_text("31 readings")


async def test_an_anomaly_can_be_held_and_let_go(page: Page, site: Site) -> None:
    site.score("calm", [5.0] * 20)
    site.score("pump", [15.0, 16.0] * 50)
    site.score("pump", [117.0], grade=ALERT)
    at = START + 100 * 120
    site.score("pump", [15.0, 16.0] * 600)
    await page.goto(f"{site.address}/?sensor=calm")
    await page.get_by_role("link", name="117 instead of 15").click()
    await expect(page).to_have_url(f"{site.address}/?sensor=pump&at={at}")
    await expect(page.locator("#connection")).to_have_text("Held")
    await expect(page.locator("#readout")).to_contain_text("Alert: spike")
    held = page.locator("#range")
    await expect(held).to_contain_text("201 readings, 1 anomaly")  # 100 before, itself, and as long a time after

    site.score("pump", [15.0] * 50)
    await expect(page.get_by_role("combobox", name="Sensor")).to_have_value("pump")
    await expect(held).to_contain_text("201 readings, 1 anomaly")

    await page.keyboard.press("Escape")
    await expect(page).to_have_url(f"{site.address}/?sensor=pump")
    await expect(held).to_contain_text("1,000 readings, 0 anomalies")
    await page.go_back()
    await expect(page.locator("#pinned")).to_be_visible()
    await page.get_by_role("button", name="Back to live").click()
    await expect(page.locator("#connection")).to_have_text("Live")


async def test_a_sensor_is_found_among_ten_thousand_by_keyboard_alone(page: Page, site: Site) -> None:
    names = [f"pump-{number:05}" for number in range(10_000)]
    site.score(names, [20.0] * len(names))
    await page.goto(site.address)
    await expect(page.get_by_role("combobox", name="Sensor")).to_have_value("pump-00000")

    await page.keyboard.press("/")
    options = page.locator("#options").get_by_role("option")
    await expect(options).to_have_count(50)
    await expect(page.get_by_text("10,000 sensors, 50 shown")).to_be_visible()
    await page.get_by_role("listbox").evaluate("list => list.scrollTo(0, list.scrollHeight)")
    await expect(options).to_have_count(100)

    await page.keyboard.type("P-0776")
    await expect(options).to_have_count(10)
    await page.keyboard.press("ArrowDown")
    active = await page.get_by_role("combobox", name="Sensor").get_attribute("aria-activedescendant")
    await expect(page.locator(f"#{active}")).to_contain_text("pump-07761")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{site.address}/?sensor=pump-07761")
    await expect(page.locator("#range")).to_contain_text("1 reading,")

    await page.keyboard.press("/")
    await page.keyboard.type("nothing like it")
    await expect(page.get_by_text("No sensor has this in its name.")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("combobox", name="Sensor")).to_have_value("pump-07761")


async def test_an_anomaly_that_left_the_memory_is_shown_from_the_index(page: Page, site: Site) -> None:
    old = site.scored("pump-1", [15.0] * 3 + [117.0], grade=ALERT)
    await site.service.index.write(index_documents(old, range(4)))
    site.score("pump-1", [15.0] * 5)
    await page.goto(f"{site.address}?sensor=pump-1&at={int(old.readings.times[3])}")
    await expect(page.locator("#range")).to_contain_text("9 readings, 4 anomalies")
    await expect(page.locator("#chart")).to_be_visible()

    await page.goto(f"{site.address}?sensor=pump-1&at=1000000000000")
    await expect(page.get_by_text("Nothing at that time")).to_be_visible()


async def test_names_and_reasons_are_only_ever_text(page: Page, site: Site) -> None:
    site.score(HOSTILE, [15.0] * 20)
    site.score(HOSTILE, [117.0], grade=ALERT)
    letter = DeadLetter("RawStreamData", "shardId-0", Record(Position(1), HOSTILE, START, b"<b>"), "not_json", HOSTILE)
    await site.service.letters.put([letter])
    site.service.metrics.dead.labels("not_json").inc()

    await page.goto(site.address)
    await expect(page.get_by_role("combobox", name="Sensor")).to_have_value(HOSTILE)
    await expect(page.locator("#anomalies .name")).to_have_text(HOSTILE)
    await page.get_by_role("slider").press("Enter")
    await page.locator("#anomalies a").click()
    await expect(page.locator("#readout")).to_be_visible()
    await page.get_by_role("combobox", name="Sensor").click()
    await expect(page.locator("#options .name")).to_have_text(HOSTILE)
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="show", exact=True).click()
    await expect(page.get_by_role("dialog")).to_contain_text(HOSTILE)
    assert await page.locator("img[src=x]").count() == 0
    await expect(page).to_have_title(f"{HOSTILE} · Cutwater")


async def test_a_learning_sensor_says_how_far_it_is(page: Page, site: Site) -> None:
    site.score("new", [15.0, 16.0] * 20, learning=True)
    await page.goto(site.address)
    await expect(page.locator("#state")).to_have_text(f"Learning 40 / {NEEDED}")
    await painted(page, "learning", least=1000)
    site.score("new", [15.0, 16.0] * 12, learning=True)
    site.score("new", [15.0])
    await expect(page.locator("#state")).to_have_text("Ready · 65 readings seen")


async def test_readings_can_be_read_one_by_one(page: Page, site: Site) -> None:
    site.score("DemoSensor", [11.0, 12.0, 13.0, 14.0])
    site.score("DemoSensor", [117.0], grade=ALERT)
    await page.goto(site.address)
    chart = page.get_by_role("slider")
    await expect(page.locator("#range")).to_contain_text("5 readings")
    await chart.press("End")
    await expect(chart).to_have_attribute(
        "aria-valuetext", re.compile("Alert: spike, severity 90.* iotValue 117, expected 15, score 4.50")
    )
    await chart.press("ArrowLeft")
    await expect(chart).to_have_attribute(
        "aria-valuetext", re.compile("Usual.* iotValue 14, score 0.90, threshold 2.00")
    )
    box = await chart.bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 100)
    await expect(page.locator("#readout")).to_contain_text("13")


async def test_light_and_dark_follow_the_system_until_chosen(page: Page, site: Site) -> None:
    async def background() -> Any:
        return await page.evaluate("getComputedStyle(document.body).backgroundColor")

    site.score("DemoSensor", [15.0, 16.0] * 50)
    await page.goto(site.address)
    light = await background()
    await page.emulate_media(color_scheme="dark")
    dark = await background()
    assert light != dark
    await page.get_by_role("button", name="Switch between light and dark").click()
    assert await background() == light
    await page.reload()
    assert await background() == light
    await expect(page.locator("#range")).to_contain_text("100 readings")
    await painted(page, "value", least=100)


@pytest.mark.parametrize(("width", "height"), [(360, 740), (1024, 700), (3840, 2160)], ids=["phone", "laptop", "wall"])
async def test_it_fits_the_screen(page: Page, site: Site, width: int, height: int) -> None:
    await page.set_viewport_size({"width": width, "height": height})
    site.score("a sensor with a name " + "long " * 60, [15.0, 16.0] * 50)
    await page.goto(site.address)
    await expect(page.locator("#range")).to_contain_text("100 readings")
    assert await page.evaluate("document.documentElement.scrollWidth") == width
    chart = await page.get_by_role("slider").bounding_box()
    assert chart is not None
    assert chart["width"] > 0.6 * width
    assert chart["height"] > 0.35 * height


async def test_it_finds_back_to_a_service_that_was_away(page: Page, site: Site, problems: list[str]) -> None:
    site.score("DemoSensor", [15.0, 16.0] * 50)
    await page.goto(site.address)
    await expect(page.locator("#range")).to_contain_text("100 readings")
    await site.stop()
    await expect(page.locator("#connection")).to_have_text("Connection lost")
    await expect(page.get_by_text("No answer from the service since")).to_be_visible()
    await painted(page, "value", least=100)  # what was seen stays in sight

    site.score("DemoSensor", [15.0] * 7)
    await site.start()
    await expect(page.locator("#connection")).to_have_text("Live")
    await expect(page.get_by_text("No answer from the service since")).to_be_hidden()
    await expect(page.locator("#range")).to_contain_text("107 readings")
    site.score("DemoSensor", [15.0] * 3)
    await expect(page.locator("#range")).to_contain_text("110 readings")
    assert all("ERR_" in problem for problem in problems)  # that it was away, nothing else
    problems.clear()
