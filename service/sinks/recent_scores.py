"""The latest scores in memory, for the API and the page.

Every reading gets a row number, growing by one in the order of scoring; a ring of columns keeps the newest rows, so a
filter looks at arrays and only the rows of an answer become documents.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.pipeline.documents import Document, ScoredBatch, describe, identity, timestamp

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which scores to show. Times in milliseconds since 1970; ``since`` inclusive, ``until`` exclusive."""

    sensor: str | None = None
    since: int | None = None
    until: int | None = None
    min_score: float | None = None
    anomalies: bool = False  # and alerts
    alerts: bool = False


@dataclass(slots=True)
class Sensor:
    """What is known of one sensor since the service started."""

    name: str
    shard: str = ""
    seen: int = 0
    ready: bool = False
    last: Document | None = None
    anomalies: int = 0
    last_anomaly: int | None = None

    def describe(self, needed: int) -> Document:
        """As ``GET /sensors`` shows it."""
        return {
            "sensor": self.name,
            "shard": self.shard,
            "state": "ready" if self.ready else "learning",
            "readings_seen": self.seen,
            "needed": needed,
            "last": self.last,
            "anomalies": self.anomalies,
            "last_anomaly": None if self.last_anomaly is None else timestamp(self.last_anomaly),
        }


class RecentScores:
    """The newest ``capacity`` scores, and every sensor seen."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.rows = 0
        self.sensors: dict[str, Sensor] = {}
        self._codes: dict[str, int] = {}
        self._code = np.zeros(capacity, dtype=np.int64)
        self._time = np.zeros(capacity, dtype=np.int64)
        self._score = np.zeros(capacity)
        self._is_anomaly = np.zeros(capacity, dtype=bool)
        self._alert = np.zeros(capacity, dtype=bool)
        self._within = np.zeros(capacity, dtype=np.int64)
        self._batch = np.empty(capacity, dtype=object)
        self._news = asyncio.Event()

    @property
    def oldest(self) -> int:
        """The first row that is still kept."""
        return max(0, self.rows - self.capacity)

    def append(self, batch: ScoredBatch) -> None:
        """Add a batch as the newest rows and wake those who wait."""
        if len(batch) == 0:
            return
        n = len(batch) + len(batch.silences)
        kept = np.arange(max(0, n - self.capacity), n)
        places = (self.rows + kept) % self.capacity
        readings, scores, silences = batch.readings, batch.scores, batch.silences
        codes = np.array([self._code_of(name) for name in readings.sensors])[readings.codes]
        self._code[places] = _extended(codes, [self._code_of(silence.sensor) for silence in silences])[kept]
        self._time[places] = _extended(readings.times, [silence.time for silence in silences])[kept]
        self._score[places] = _extended(scores.score, [np.nan] * len(silences))[kept]
        self._is_anomaly[places] = _extended(scores.is_anomaly | scores.alert, [True] * len(silences))[kept]
        self._alert[places] = _extended(scores.alert, [silence.alert for silence in silences])[kept]
        self._within[places] = kept
        self._batch[places] = batch
        self._note_sensors(batch)
        self.rows += n
        self._news.set()
        self._news = asyncio.Event()

    async def wait(self, row: int) -> None:
        """Until there is a row after ``row``."""
        while self.rows <= row + 1:
            await self._news.wait()

    def newest(self, wanted: Filter, limit: int, before: tuple[int, str] | None = None) -> list[Document]:
        """Up to ``limit`` matching documents, newest event time first, those of one time in falling order of their ids.

        ``before``: only those that come after this event time (ms) and id in that order.
        """
        rows = np.concatenate([self._matching(wanted, *span) for span in self._spans()])
        times = self._time[rows % self.capacity]
        if before is not None:
            ties = [self._identity(row) < before[1] for row in rows[times == before[0]].tolist()]
            keep = times < before[0]
            keep[times == before[0]] = ties
            rows, times = rows[keep], times[keep]
        if len(rows) > limit:  # the ids decide between those of the last time that has room
            last = np.partition(times, -limit)[-limit]
            rows, times = rows[times >= last], times[times >= last]
        found = zip(times.tolist(), map(self._identity, rows.tolist()), rows.tolist(), strict=True)
        return [self._document(row) for _, _, row in sorted(found, reverse=True)[:limit]]

    def following(self, wanted: Filter, row: int, limit: int) -> tuple[list[Document], int]:
        """Matching documents of rows after ``row``, oldest first, and the row up to which they were looked for."""
        start = max(row + 1, self.oldest)
        stop = min(start + limit, self.rows)
        return list(map(self._document, self._matching(wanted, start, stop).tolist())), stop - 1

    def _code_of(self, name: str) -> int:
        return self._codes.setdefault(name, len(self._codes))

    def _spans(self, step: int = 65_536) -> Iterator[tuple[int, int]]:
        """All rows in parts that are small enough to stay in the processor's cache; at least one part."""
        for start in range(self.oldest, max(self.rows, self.oldest + 1), step):
            yield start, min(start + step, self.rows)

    def _matching(self, wanted: Filter, start: int, stop: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        rows = np.arange(start, stop)
        at = rows % self.capacity
        keep = np.ones(len(rows), dtype=bool)
        if wanted.sensor is not None:
            keep &= self._code[at] == self._codes.get(wanted.sensor, -1)
        if wanted.since is not None:
            keep &= self._time[at] >= wanted.since
        if wanted.until is not None:
            keep &= self._time[at] < wanted.until
        if wanted.min_score is not None:
            keep &= self._score[at] >= wanted.min_score
        if wanted.anomalies:
            keep &= self._is_anomaly[at]
        if wanted.alerts:
            keep &= self._alert[at]
        return rows[keep]

    def _document(self, row: int) -> Document:
        at = row % self.capacity
        return describe(self._batch[at], int(self._within[at])) | {"row": row}

    def _identity(self, row: int) -> str:
        at = row % self.capacity
        return identity(self._batch[at], int(self._within[at]))

    def _note_sensors(self, batch: ScoredBatch) -> None:
        codes, scores = batch.readings.codes, batch.scores
        last = {int(code): row for row, code in enumerate(codes)}
        for code, row in last.items():
            name = batch.readings.sensors[code]
            sensor = self.sensors.setdefault(name, Sensor(name))
            sensor.shard = batch.shard
            sensor.seen = int(scores.seen[row]) + 1
            sensor.ready = bool(scores.ready[row])
            sensor.last = {
                "@timestamp": timestamp(int(batch.readings.times[row])),
                "values": dict(zip(batch.features, map(float, batch.readings.values[row]), strict=True)),
                "anomaly_score": float(scores.score[row]),
            }
        found = [
            (batch.readings.sensors[codes[row]], int(batch.readings.times[row]))
            for row in np.flatnonzero(scores.is_anomaly | scores.alert).tolist()
        ]
        found += [(silence.sensor, silence.time) for silence in batch.silences]
        for name, time in found:
            sensor = self.sensors.setdefault(name, Sensor(name, batch.shard))
            sensor.anomalies += 1
            sensor.last_anomaly = time


def _extended(column: NDArray[T], more: list[Any]) -> NDArray[T]:
    return np.concatenate((column, np.array(more, dtype=column.dtype))) if more else column
