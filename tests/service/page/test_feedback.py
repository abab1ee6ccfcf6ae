"""What people say on the page: acknowledge, was normal, was missed, mute; shown with who and when, and taken back."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.service.page.site import ALERT, START, Site

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_people_say_what_they_know_and_take_it_back(page: Page, site: Site) -> None:
    site.score("boiler", [15.0] * 100)
    at = site.time
    site.score("boiler", [117.0] * 3, grade=ALERT, episode=at)
    site.score("boiler", [15.0] * 20)
    await page.goto(f"{site.address}?sensor=boiler")
    await page.get_by_text("Feedback").click()
    await expect(page.get_by_role("button", name="Acknowledge")).to_be_disabled()
    await page.get_by_label("Your name").fill("Ann")
    await page.locator("#anomalies a").first.click()
    await page.get_by_role("button", name="Acknowledge").click()
    said = page.locator("#said li")
    await expect(said).to_have_count(1)
    await expect(said).to_contain_text("Ann acknowledged")
    (word,) = site.service.feedback.words()
    assert (word.who, word.sensor, word.action) == ("Ann", "boiler", "acknowledge")
    assert site.service.feedback.acknowledged(word.episode_id)
    await page.get_by_label("Your name").fill("Bob")
    await said.get_by_role("button", name="Undo").click()
    await expect(said).to_contain_text("taken back by Bob")
    assert not site.service.feedback.acknowledged(word.episode_id)
    await page.get_by_role("button", name="Was normal").click()
    await expect(said.first).to_contain_text("Bob called normal")
    await page.get_by_label("Mute this sensor").select_option("until taken back")
    await expect(said.first).to_contain_text("Bob muted (until taken back)")
    assert site.service.feedback.mutes("boiler", 0)
    await page.goto(f"{site.address}?sensor=boiler&from={START}&to={START + 5000}")
    await page.get_by_text("Feedback").click()
    await page.get_by_role("button", name="Was missed").click()
    await expect(said.first).to_contain_text("Bob called missed")
    newest = site.service.feedback.words()[0]
    assert (newest.since, newest.until) == ("2027-01-15T08:00:00.000Z", "2027-01-15T08:00:05.000Z")


@pytest.mark.parametrize("more_settings", [{"api_token": "o" * 16, "api_read_token": "r" * 16}])
async def test_who_may_only_read_says_nothing(page: Page, site: Site, problems: list[str]) -> None:
    site.score("boiler", [15.0] * 100)
    await page.goto(f"{site.address}?sensor=boiler")
    await page.get_by_label("The service asks").fill("r" * 16)
    await page.get_by_role("button", name="Open").click()
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    await expect(page.locator("#feedback")).to_be_visible()
    await expect(page.locator("#say")).to_be_hidden()
    problems[:] = [text for text in problems if "401" not in text]
