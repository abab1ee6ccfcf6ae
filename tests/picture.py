"""Take the README's pictures of the page: ``python -m tests.picture docs/images/page.png [ADDRESS]``.

A service must be running there (``make demo``), best for a minute. The dark picture lies beside the light one.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from playwright.async_api import Browser, ViewportSize, expect

from tests.servers.browser import chromium

SIZE = ViewportSize(width=1360, height=850)
LOOK_SECONDS = 35  # until the lines in the tiles have some length


async def take(browser: Browser, address: str, scheme: str, path: Path) -> None:
    page = await browser.new_page(
        viewport=SIZE, device_scale_factor=2, color_scheme="dark" if scheme == "dark" else "light", locale="en-GB"
    )
    await page.goto(address)
    await expect(page.locator("#anomalies li")).not_to_have_count(0, timeout=120_000)
    await asyncio.sleep(LOOK_SECONDS)
    await page.screenshot(path=path)


async def main(path: Path, address: str = "http://127.0.0.1:8080") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    dark = path.with_stem(f"{path.stem}-dark")
    async with chromium() as browser:
        await asyncio.gather(take(browser, address, "light", path), take(browser, address, "dark", dark))
    print(f"took {path} and {dark}")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
