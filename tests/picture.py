"""Pictures of the page: the README's of a running service, and scenes that are made up.

``python -m tests.picture docs/images/page.png [ADDRESS]`` takes the README's. A service must be running there (``make
demo``), best for a minute. The dark picture lies beside the light one.

``python -m tests.picture scenes FOLDER [NAME …]`` takes pictures of what a demo seldom shows, without one: those named,
or all.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from playwright.async_api import Browser, Page, ViewportSize, expect

from service.pipeline.records import DeadLetter, Position, Record
from service.settings.model import Settings
from service.worker.service import Service
from tests.servers.browser import chromium
from tests.service.page.site import ALERT, ANOMALY, NEEDED, START, Site

SIZE = ViewportSize(width=1360, height=850)
PHONE = ViewportSize(width=390, height=844)
LOOK_SECONDS = 35  # until the lines in the tiles have some length
SETTLE_SECONDS = 3  # until the chart's axes have come to rest, and the page has looked twice
NOBODY = "http://127.0.0.1:9"

Scheme = Literal["light", "dark"]


@dataclass(frozen=True)
class Scene:
    """What is in the service, and how one looks at it."""

    fill: Callable[[Site], Awaitable[None]]
    look: Callable[[Page], Awaitable[None]] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    phone: bool = False
    scheme: Scheme = "light"
    path: str = ""


def wave(n: int, values: int = 1, seed: int = 7) -> Any:
    """[n, values] readings that go up and down, with noise."""
    chance, at = np.random.default_rng(seed), np.arange(n)[:, None]
    waves = 20 + 3 * np.sin(at / 40 + np.arange(values)) * (1 + np.arange(values))
    return waves + chance.normal(0, 0.4, (n, values))


async def ordinary(site: Site) -> None:
    """Three sensors; one has a spike and a drift, another falls below its usual values, the third learns."""
    site.score("boiler-2", wave(300))
    start = site.time
    site.score("boiler-2", [[4.0]], grade=0.75, kind="level shift", episode=start)
    site.score("boiler-2", wave(20) - 14, grade=ANOMALY, kind="level shift", episode=start)
    site.score("fan", wave(40, seed=3), learning=True)
    site.score("pump-17", wave(400, seed=4))
    site.score("pump-17", [[61.0]], grade=ALERT)
    site.score("pump-17", wave(250, seed=5))
    start, rising = site.time, wave(30, seed=6) + np.linspace(5, 20, 30)[:, None]
    site.score("pump-17", rising, grade=ANOMALY, kind="drift", episode=start)
    site.score("pump-17", [[47.0]], grade=0.8, kind="drift", episode=start)
    site.score("pump-17", wave(60, seed=8))


async def five_values(site: Site) -> None:
    site.score("compressor", wave(500, 5))
    start = site.time
    site.score("compressor", [[20.0, 80.0, 21.0, 15.0, 24.0]], grade=ALERT, kind="level shift", blamed=1, episode=start)
    high = wave(40, 5, seed=9) + np.array([0, 55, 0, 0, 0])
    site.score("compressor", high, grade=ANOMALY, kind="level shift", blamed=1, episode=start)
    site.score("compressor", wave(300, 5, seed=10))


async def everything_dead(site: Site) -> None:
    reason = "iotName is missing, so the reading has no sensor"
    record = Record(Position(1), "key", START, b'{"name": "pump-17", "iotValue": 20.4}')
    letters = [DeadLetter("RawStreamData", "shardId-000000000000", record, "no_sensor", reason)] * 40
    await site.service.letters.put(letters)
    site.service.dead_letter_monitor.note(letters)
    site.service.metrics.dead.labels("no_sensor").inc(len(letters))


async def many_sensors(site: Site) -> None:
    names = [f"hall-{number // 50 + 1}/motor-{number:03}" for number in range(500)]
    for turn in range(12):
        site.score(names, wave(500, seed=turn))
        for place in range(turn % 4):
            grade = 0.2 + ((turn * 7 + place * 3) % 8) / 10
            site.score(names[(turn * 41 + place * 97) % 500], [[55.0]], grade=grade, episode=site.time)


async def click_alert(page: Page) -> None:
    await page.locator("#anomalies a").filter(has_text="Alert").first.click()
    await expect(page.locator("#readout")).to_be_visible()


async def open_list(page: Page) -> None:
    await page.get_by_role("combobox", name="Sensor").click()
    await expect(page.locator("#options li")).not_to_have_count(0)


FIVE = ("temperature", "pressure", "flow", "current", "vibration")
UNITS = {"temperature": "°C", "pressure": "bar", "current": "A"}
SCENES = {
    "ordinary": Scene(ordinary),
    "dark": Scene(ordinary, scheme="dark"),
    "alert": Scene(ordinary, click_alert),
    "phone": Scene(ordinary, phone=True),
    "phone-alert": Scene(ordinary, click_alert, phone=True, scheme="dark"),
    "five-values": Scene(
        five_values, click_alert, {"value_fields": {name: name for name in FIVE}, "value_units": UNITS}
    ),
    "index-away": Scene(ordinary, settings={"opensearch_url": NOBODY}),
    "index-away-at-first": Scene(lambda site: asyncio.sleep(0), settings={"opensearch_url": NOBODY}),
    "everything-dead": Scene(everything_dead),
    "everything-dead-phone": Scene(everything_dead, phone=True),
    "many-sensors": Scene(many_sensors, open_list),
    "one-reading-each": Scene(many_sensors, path="?sensor=hall-1/motor-003"),
}


async def shoot(browser: Browser, name: str, folder: Path) -> None:
    """Take the picture of one scene."""
    scene = SCENES[name]
    with tempfile.TemporaryDirectory() as data:
        usual = {"endpoint_url": NOBODY, "data_dir": Path(data), "samples": NEEDED, "recent_scores": 20_000}
        async with Service.open(Settings(**(usual | scene.settings))) as service:
            site = Site(service)
            await scene.fill(site)
            await site.start()
            page = await browser.new_page(
                viewport=PHONE if scene.phone else SIZE, color_scheme=scene.scheme, locale="en-GB"
            )
            await page.goto(f"{site.address}/{scene.path}")
            await asyncio.sleep(SETTLE_SECONDS)
            if scene.look:
                await scene.look(page)
                await asyncio.sleep(SETTLE_SECONDS / 3)
            await page.screenshot(path=folder / f"{name}.png", full_page=scene.phone)
            await page.close()
            await site.stop()


async def take(browser: Browser, address: str, scheme: Scheme, path: Path) -> None:
    """Take the picture of a running service."""
    page = await browser.new_page(viewport=SIZE, device_scale_factor=2, color_scheme=scheme, locale="en-GB")
    await page.goto(address)
    await expect(page.locator("#anomalies li")).not_to_have_count(0, timeout=120_000)
    await asyncio.sleep(LOOK_SECONDS)
    await page.screenshot(path=path)


async def take_scenes(folder: Path, names: Sequence[str]) -> None:
    if unknown := set(names) - SCENES.keys():
        sys.exit(f"no scene is called {', '.join(sorted(unknown))}; there are {', '.join(SCENES)}")
    async with chromium() as browser:
        for name in names or SCENES:
            await shoot(browser, name, folder)
            print(f"took {folder / name}.png")


async def take_readme(path: Path, address: str = "http://127.0.0.1:8080") -> None:
    dark = path.with_stem(f"{path.stem}-dark")
    async with chromium() as browser:
        await asyncio.gather(take(browser, address, "light", path), take(browser, address, "dark", dark))
    print(f"took {path} and {dark}")


if __name__ == "__main__":
    if sys.argv[1] == "scenes":
        asyncio.run(take_scenes(Path(sys.argv[2]), sys.argv[3:]))
    else:
        asyncio.run(take_readme(Path(sys.argv[1]), *sys.argv[2:]))
