"""A service that reads no stream, and what its page's chart has painted."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import numpy as np
from playwright.async_api import Page

from detector.liveness import SilenceEvent
from detector.types import KINDS, Readings, Scores
from service.api.app import build
from service.pipeline.documents import ScoredBatch
from service.pipeline.records import Position
from service.worker.server import serve
from service.worker.service import Service

START = 1_800_000_000_000
STEP = 100  # ms between two readings, of whatever sensor
NEEDED = 64
ALERT, ANOMALY = 0.9, 0.5  # grades


class Site:
    """The service. Readings come every 100 ms of event time, whatever their sensor."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.address = ""
        self.time = START  # of the next reading
        self._row = 0
        self._running = AsyncExitStack()

    async def start(self) -> None:
        """Serve, at the same address as before if there was one."""
        port = int(self.address.rpartition(":")[2] or 0)
        self.address = await self._running.enter_async_context(serve(build(self.service), "127.0.0.1", port))

    async def stop(self) -> None:
        await self._running.aclose()

    def score(self, sensors: str | Sequence[str], values: Any, **what: Any) -> None:
        """Readings, all anomalous or none."""
        self.service.recent.append(self.scored(sensors, values, **what))

    def scored(
        self,
        sensors: str | Sequence[str],
        values: Any,
        *,
        grade: float = 0.0,
        kind: str = "none",
        episode: int = 0,
        learning: bool = False,
        blamed: int = 0,
        score: float | None = None,
        silences: Sequence[SilenceEvent] = (),
    ) -> ScoredBatch:
        """The same, but not in memory. ``episode`` is the time at which it began; values are [n] or [n, d]."""
        table = np.array(values, dtype=float)
        table = table[:, None] if table.ndim == 1 else table
        n, d = table.shape
        names = [sensors] * n if isinstance(sensors, str) else list(sensors)
        known = tuple(dict.fromkeys(names))
        codes = {name: code for code, name in enumerate(known)}
        rows = self._row + np.arange(n)
        times = self.time + STEP * np.arange(n)
        self._row += n
        self.time += STEP * n
        anomaly = grade > 0
        readings = Readings(known, np.array([codes[name] for name in names]), times, table)
        scores = Scores.empty(n, d)
        usual = 0 if learning else 4.5 if anomaly else 0.9
        scores.score[:] = usual if score is None else score
        scores.threshold[:] = np.nan if learning else 2.0
        scores.grade[:] = grade
        scores.confidence[:] = 1.0
        scores.is_anomaly[:] = anomaly
        scores.alert[:] = grade > 0.7
        scores.alert_score[:] = 6.5 if grade > 0.7 else 0.0
        scores.kind[:] = scores.episode_kind[:] = KINDS.index("spike" if anomaly and kind == "none" else kind)
        scores.episode_start[:] = episode
        scores.ready[:] = not learning
        scores.seen[:] = rows
        scores.expected[:] = table
        scores.expected[:, blamed] = 15 if anomaly else table[:, blamed]
        scores.attribution[:, blamed] = scores.score
        positions = [Position(int(row)) for row in rows]
        features = tuple(self.service.settings.value_fields)
        return ScoredBatch(
            "RawStreamData", "shardId-000000000000", positions, times.tolist(), [0] * n, features, "rcf-1", readings,
            scores, silences,
        )  # fmt: skip


async def pixels(page: Page, colour: str) -> int:
    """How many of the chart's pixels have a colour of the style sheet."""
    count = await page.evaluate(
        """(name) => {
            const probe = document.body.appendChild(document.createElement("i"));
            probe.style.color = `var(--${name})`;
            const [red, green, blue] = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
            probe.remove();
            const canvas = document.querySelector("#chart canvas");
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            let count = 0;
            for (let at = 0; at < data.length; at += 4) {
                if (data[at] === red && data[at + 1] === green && data[at + 2] === blue) count++;
            }
            return count;
        }""",
        colour,
    )
    assert isinstance(count, int)
    return count


async def painted(page: Page, colour: str, *, least: int) -> None:
    """Wait until the chart shows a colour; it draws with the screen's next frame."""
    for _ in range(100):
        if await pixels(page, colour) >= least:
            return
        await page.wait_for_timeout(50)
    raise AssertionError(f"the chart has {await pixels(page, colour)} pixels of {colour}, not {least}")
