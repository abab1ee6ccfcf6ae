"""The latest scores in memory, for the API and the page.

Every reading gets a row number, growing by one in the order of scoring; a ring of columns keeps the newest rows, so a
filter looks at arrays and only the rows of an answer become documents.

Threads: ``append`` and ``wait`` belong to the event loop; ``search`` and ``following`` may run in other threads
meanwhile. The ring has more slots than it shows rows, so a row that a search has found is still there when it is read;
should one have been overwritten after all, it has been forgotten and is left out.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from detector.types import KINDS, SILENT
from service.pipeline.documents import Document, ScoredBatch, describe, identity, timestamp
from service.sinks.query import NEWEST, NO_SCORE, Filter, Order, Place

T = TypeVar("T", bound=np.generic)
Rows = NDArray[np.int64]

SPARE_SLOTS = 16_384  # rows that may be appended while a search reads what it has found
LEAST_SENSORS = 100_000  # that are remembered in any case; one takes about a kilobyte
STEP = 65_536  # rows looked at together: their columns fit into the processor's cache
NO_KIND = -1


@dataclass(slots=True)
class Sensor:
    """What is known of one sensor since the service started.

    Attributes:
        seen: readings that its model has seen.
        anomalies: how many, silences included.
        last_anomaly: its event time, ms since 1970.
        severity: of the latest anomaly, 0 to 100.
    """

    name: str
    shard: str = ""
    seen: int = 0
    ready: bool = False
    anomalies: int = 0
    last_anomaly: int | None = None
    severity: int = 0
    last_score: float | None = None  # of the last reading; None for a sensor of which only silences are known
    _last_time: int = 0
    _last_values: dict[str, float] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """learning or ready, at the last reading."""
        return "ready" if self.ready else "learning"

    def read(self, batch: ScoredBatch, row: int) -> None:
        """Note a reading."""
        self.shard = batch.shard
        self.seen = int(batch.scores.seen[row]) + 1
        self.ready = bool(batch.scores.ready[row])
        self.last_score = float(batch.scores.score[row])
        self._last_time = int(batch.readings.times[row])
        self._last_values = dict(zip(batch.features, batch.readings.values[row].tolist(), strict=True))

    def describe(self, needed: int) -> Document:
        """As ``GET /sensors`` shows it."""
        return {
            "sensor": self.name,
            "shard": self.shard,
            "state": self.state,
            "readings_seen": self.seen,
            "needed": needed,
            "last": self._last(),
            "anomalies": self.anomalies,
            "last_anomaly": None if self.last_anomaly is None else timestamp(self.last_anomaly),
            "severity": self.severity,
        }

    def _last(self) -> Document | None:
        if self.last_score is None:
            return None
        return {
            "@timestamp": timestamp(self._last_time),
            "values": self._last_values,
            "anomaly_score": self.last_score,
        }


class RecentScores:
    """The newest ``capacity`` scores, and the ``max_sensors`` sensors that had a reading last."""

    def __init__(self, capacity: int, max_sensors: int = LEAST_SENSORS) -> None:
        self.capacity = capacity
        self.max_sensors = max_sensors
        self.rows = 0
        self.sensors: OrderedDict[str, Sensor] = OrderedDict()  # the one that had a reading last comes last
        self._slots = slots = capacity + SPARE_SLOTS
        self._filled = 0  # rows written, or being written
        self._sensor = np.zeros(slots, dtype=np.int64)  # hashes, as of shards: no table of names that could grow
        self._shard = np.zeros(slots, dtype=np.int64)
        self._time = np.zeros(slots, dtype=np.int64)
        self._score = np.zeros(slots)
        self._severity = np.zeros(slots, dtype=np.int8)
        self._kind = np.full(slots, NO_KIND, dtype=np.int8)
        self._is_anomaly = np.zeros(slots, dtype=bool)
        self._alert = np.zeros(slots, dtype=bool)
        self._within = np.zeros(slots, dtype=np.int64)
        self._batch = np.empty(slots, dtype=object)
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
        at = (self.rows + kept) % self._slots
        readings, scores, silences = batch.readings, batch.scores, batch.silences
        self._filled = self.rows + n
        names = np.fromiter(map(hash, readings.sensors), np.int64, len(readings.sensors))
        is_anomaly = scores.is_anomaly | scores.alert
        self._sensor[at] = _extended(names[readings.codes], [hash(silence.sensor) for silence in silences])[kept]
        self._shard[at] = hash(batch.shard)
        self._time[at] = _extended(readings.times, [silence.time for silence in silences])[kept]
        self._score[at] = _extended(scores.score, [np.nan] * len(silences))[kept]
        self._severity[at] = _extended(scores.severity, [silence.severity for silence in silences])[kept]
        kinds = np.where(is_anomaly, scores.kind, NO_KIND).astype(np.int8)
        self._kind[at] = _extended(kinds, [SILENT] * len(silences))[kept]
        self._is_anomaly[at] = _extended(is_anomaly, [True] * len(silences))[kept]
        self._alert[at] = _extended(scores.alert, [silence.alert for silence in silences])[kept]
        self._within[at] = kept
        self._batch[at] = batch
        self._note_sensors(batch, is_anomaly)
        self.rows += n
        self._news.set()
        self._news = asyncio.Event()

    def count_sensors(self) -> dict[str, int]:
        """How many sensors are known, and how many of them were learning at their last reading."""
        return {"seen": len(self.sensors), "learning": sum(not sensor.ready for sensor in self.sensors.values())}

    async def wait(self, row: int) -> None:
        """Until there is a row after ``row``."""
        while self.rows <= row + 1:
            await self._news.wait()

    def search(self, wanted: Filter, limit: int, order: Order = NEWEST, after: Place | None = None) -> list[Document]:
        """Up to ``limit`` matching documents in an order; only those that come after a place, if one is given."""
        rows = np.concatenate([self._matching(wanted, *span) for span in self._spans()])
        values, times = self._values(order, rows), self._time[rows % self._slots]
        if after is not None:
            keep = self._follows(order, rows, values, times, after)
            rows, values, times = rows[keep], values[keep], times[keep]
        sign = -1 if order.descending else 1
        first = np.lexsort((sign * times, sign * values))
        if len(first) > limit:  # the ids decide between those at the last place that has room
            last = first[limit - 1]
            ties = (values[first[limit:]] == values[last]) & (times[first[limit:]] == times[last])
            first = first[: limit + int(np.count_nonzero(ties))]
        places = [
            (value, time, self._identity(row), row)
            for value, time, row in zip(
                values[first].tolist(), times[first].tolist(), rows[first].tolist(), strict=True
            )
        ]
        places.sort(reverse=order.descending)
        return self._documents([row for *_, row in places[:limit]])

    def following(self, wanted: Filter, row: int, limit: int) -> tuple[list[Document], int]:
        """Matching documents of rows after ``row``, oldest first, and the row up to which they were looked for."""
        start = max(row + 1, self.oldest)
        stop = min(start + limit, self.rows)
        return self._documents(self._matching(wanted, start, stop).tolist()), stop - 1

    def _spans(self) -> Iterator[tuple[int, int]]:
        """All rows in parts; at least one part."""
        oldest, rows = self.oldest, self.rows
        for start in range(oldest, max(rows, oldest + 1), STEP):
            yield start, min(start + STEP, rows)

    def _matching(self, wanted: Filter, start: int, stop: int) -> Rows:
        rows = np.arange(start, stop)
        at = rows % self._slots
        keep = np.ones(len(rows), dtype=bool)
        if wanted.sensor is not None:
            keep &= self._sensor[at] == hash(wanted.sensor)
        if wanted.shard is not None:
            keep &= self._shard[at] == hash(wanted.shard)
        if wanted.since is not None:
            keep &= self._time[at] >= wanted.since
        if wanted.until is not None:
            keep &= self._time[at] < wanted.until
        if wanted.min_score is not None:
            keep &= self._score[at] >= wanted.min_score
        if wanted.min_severity is not None:
            keep &= self._severity[at] >= wanted.min_severity
        if wanted.kind is not None:
            keep &= self._kind[at] == (KINDS.index(wanted.kind) if wanted.kind in KINDS else len(KINDS))
        if wanted.anomalies:
            keep &= self._is_anomaly[at]
        if wanted.alerts:
            keep &= self._alert[at]
        rows = rows[keep]
        if wanted.labels:
            rows = rows[[self._is_labelled(row, wanted) for row in rows.tolist()]]
        return rows

    def _is_labelled(self, row: int, wanted: Filter) -> bool:
        at = row % self._slots
        batch, within = self._batch[at], int(self._within[at])
        if within >= len(batch.labels):
            return False
        return all(batch.labels[within].get(name) == value for name, value in wanted.labels)

    def _values(self, order: Order, rows: Rows) -> NDArray[np.float64]:
        """What rows are sorted by, before their event times."""
        if order.by == "score":
            return np.nan_to_num(self._score[rows % self._slots], nan=NO_SCORE)
        return self._severity[rows % self._slots].astype(float) if order.by == "severity" else np.zeros(len(rows))

    def _follows(
        self, order: Order, rows: Rows, values: NDArray[np.float64], times: Rows, after: Place
    ) -> NDArray[np.bool_]:
        """Which rows come after a place."""
        value, time, name = after
        before = np.less if order.descending else np.greater
        keep: NDArray[np.bool_] = before(values, value) | ((values == value) & before(times, time))
        ties = np.flatnonzero((values == value) & (times == time))
        for index, row in zip(ties.tolist(), rows[ties].tolist(), strict=True):
            found = self._identity(row)
            keep[index] = found < name if order.descending else found > name
        return keep

    def _documents(self, rows: list[int]) -> list[Document]:
        """The documents of rows, without those that have been overwritten since they were found."""
        found = [(self._batch[row % self._slots], int(self._within[row % self._slots]), row) for row in rows]
        lost = self._filled - self._slots
        return [describe(batch, within) | {"row": row} for batch, within, row in found if row >= lost]

    def _identity(self, row: int) -> str:
        at = row % self._slots
        return identity(self._batch[at], int(self._within[at]))

    def _note_sensors(self, batch: ScoredBatch, is_anomaly: NDArray[np.bool_]) -> None:
        """Note each sensor's last reading, and every anomaly."""
        names, codes = batch.readings.sensors, batch.readings.codes
        last = np.full(len(names), -1)
        last[codes] = np.arange(len(codes))  # of several readings of a sensor the last one stays
        for code in np.argsort(last).tolist():
            if last[code] >= 0:
                self._sensor_named(names[code], batch).read(batch, int(last[code]))
        times, severities = batch.readings.times, batch.scores.severity
        found = [
            (names[codes[row]], int(times[row]), int(severities[row])) for row in np.flatnonzero(is_anomaly).tolist()
        ]
        found += [(silence.sensor, silence.time, silence.severity) for silence in batch.silences]
        for name, time, severity in found:
            sensor = self._sensor_named(name, batch)
            sensor.anomalies += 1
            sensor.last_anomaly, sensor.severity = time, severity
        while len(self.sensors) > self.max_sensors:
            self.sensors.popitem(last=False)

    def _sensor_named(self, name: str, batch: ScoredBatch) -> Sensor:
        """What is known of a sensor, which is the latest to be seen now."""
        if (sensor := self.sensors.get(name)) is None:
            sensor = self.sensors[name] = Sensor(name, batch.shard)
        self.sensors.move_to_end(name)
        return sensor


def _extended(column: NDArray[T], more: list[Any]) -> NDArray[T]:
    return np.concatenate((column, np.array(more, dtype=column.dtype))) if more else column
