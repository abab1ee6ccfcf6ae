"""What happens to episodes, one change after the other: begun, changed, ended.

Guarantee: the changes depend only on the shard's scored readings in their order, not on how they were cut into batches,
nor on snapshots and restores in between. So a replay makes the same changes under the same keys.

An episode has ended at the first reading of its sensor that the detector counts to it no more: the detector's own
pause without an anomaly has passed. A silence has ended at the sensor's next reading. One that goes on after a pause is
told as a change of the episode that it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from detector.types import KINDS
from service.pipeline.documents import Document, ScoredBatch, describe, timestamp

Stage = Literal["begin", "update", "end"]
MOST_OPEN = 10_000  # episodes of a shard that are followed; beyond it the oldest count as ended
WORSE = 10  # of severity: so much more is worth a word
BETWEEN = 60_000  # ms of event time between two changes of an episode that are no alerts
_SHARED = ("sensor", "stream", "shard", "episode_id", "severity", "anomaly_score")
_VALUES = ("feature_data_", "expected_values_", "relevant_attribution_")


@dataclass(slots=True)
class _Open:
    """An episode that goes on: what was last told of it, and what has become of it since."""

    document: Document  # of the worst reading so far
    start: int  # event time in ms, as the detector has it
    kind: str
    severity: int  # the highest
    told_kind: str
    told_severity: int
    told_at: int
    last: int  # event time of its latest anomaly
    anomalies: int


class EpisodeTracker:
    """Follows the episodes of one shard."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, bool], _Open] = {}  # by sensor, and whether it is a silence

    def __len__(self) -> int:
        return len(self._open)

    def follow(self, batch: ScoredBatch) -> list[Document]:
        """The changes that the next readings make, in their order."""
        changes: list[Document] = []
        for row in self._rows(batch):
            changes += self._silent(batch, row) if batch.revealed(row) else self._reading(batch, row)
        while len(self._open) > MOST_OPEN:
            oldest = next(iter(self._open))
            changes.append(_change("end", self._open.pop(oldest)))
        return changes

    def documents(self) -> Iterator[Document]:
        """The worst document of each episode that goes on."""
        for each in self._open.values():
            yield each.document

    def snapshot(self) -> list[Any]:
        """What ``restore`` needs, as JSON has it."""
        return [[sensor, silent, asdict(each)] for (sensor, silent), each in self._open.items()]

    def restore(self, snapshot: Sequence[Any]) -> None:
        """Go on with these episodes, too."""
        for sensor, silent, fields in snapshot:
            self._open[sensor, silent] = _Open(**fields)

    def _rows(self, batch: ScoredBatch) -> list[int]:
        """The rows that may change an episode, each silence behind the reading that revealed it."""
        readings, alerts, silences = batch.readings, batch.scores.alert, batch.silences
        followed = {sensor for sensor, _ in self._open} | {silence.sensor for silence in silences}
        if not followed and not alerts.any():
            return []
        codes = {code for code, sensor in enumerate(readings.sensors) if sensor in followed}
        codes |= set(readings.codes[alerts].tolist())
        n = len(batch)
        rows = [*np.flatnonzero(np.isin(readings.codes, list(codes))).tolist(), *range(n, n + len(silences))]
        if silences:
            rows.sort(key=lambda row: (silences[row - n].row if row >= n else row, row))
        return rows

    def _silent(self, batch: ScoredBatch, row: int) -> Iterator[Document]:
        silence = batch.revealed(row)
        assert silence is not None
        if not silence.alert:
            return
        document = describe(batch, row)
        open_ = _begun(document, silence.since, silence.time)
        self._open[silence.sensor, True] = open_
        yield _change("begin", open_, silence.time)

    def _reading(self, batch: ScoredBatch, row: int) -> Iterator[Document]:
        readings, scores = batch.readings, batch.scores
        sensor, time = readings.sensors[readings.codes[row]], int(readings.times[row])
        if silent := self._open.pop((sensor, True), None):
            yield _change("end", silent, time)
        open_, start = self._open.get((sensor, False)), int(scores.episode_start[row])
        if open_ and start != open_.start:
            yield _change("end", self._open.pop((sensor, False)), time)
            open_ = None
        if not start or not (open_ or scores.alert[row]):
            return
        alert, severity = bool(scores.alert[row]), int(scores.severity[row])
        if open_ is None:
            open_ = _begun(describe(batch, row), start, time)
            self._open[sensor, False] = open_
            yield _change("begin" if time == start else "update", open_, time)
            return
        open_.kind = KINDS[scores.episode_kind[row]]
        if scores.is_anomaly[row]:
            open_.last, open_.anomalies = time, open_.anomalies + 1
        if severity > open_.severity:
            open_.document, open_.severity = describe(batch, row), severity
        changed = open_.kind != open_.told_kind or open_.severity >= open_.told_severity + WORSE
        if alert or (changed and time - open_.told_at >= BETWEEN):
            open_.told_kind, open_.told_severity, open_.told_at = open_.kind, open_.severity, time
            yield _change("update", open_, time)


def _begun(document: Document, start: int, time: int) -> _Open:
    """An episode at its first alert."""
    kind, severity = document["episode_kind"], document["severity"]
    return _Open(document, start, kind, severity, kind, severity, told_at=time, last=time, anomalies=1)


def _change(stage: Stage, episode: _Open, time: int | None = None) -> Document:
    """What is told of a change at an event time."""
    document = episode.document
    time = episode.last if time is None else time
    change: Document = {
        "key": f"{document['episode_id']}:{stage}" + ("" if stage == "begin" else f":{time}"),
        "stage": stage,
        "@timestamp": timestamp(time),
        "kind": episode.kind,
        "start": document["approx_anomaly_start_time"],
        "seen": document["@timestamp"],  # when the page shows the worst of it
        "last": timestamp(episode.last),
        "anomalies": episode.anomalies,
        "sequence_number": document["sequence_number"],
        "sub_sequence_number": document["sub_sequence_number"],
        "event.created": document["event.created"],
    }
    change |= {name: document[name] for name in _SHARED}
    change["severity"] = episode.severity
    change["values"] = {name: value for name, value in document.items() if name.startswith(_VALUES)}
    change["labels"] = {
        name.removeprefix("labels."): value for name, value in document.items() if name.startswith("labels.")
    }
    return change
