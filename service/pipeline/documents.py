"""The one vocabulary: what a score is called in the index, in the API and on the page.

The names are those of OpenSearch Anomaly Detection's result index, flattened, so that Kibana users know them and can
chart every one. A document depends only on the record, the configuration and the detector's state: a replay makes the
same documents under the same ids.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import accumulate
from typing import Any, Literal, Protocol

import numpy as np
import orjson

from detector.liveness import SilenceEvent
from detector.types import KINDS, SILENT, Integers, Readings, Scores, severity_of
from service import __version__
from service.pipeline.identity import document_id, episode_id
from service.pipeline.records import Position, Record

SCHEMA_VERSION = 1

# Within these every server takes any record. Lucene's terms have at most 32 766 bytes, and one holds a value with all
# the names on its way; `flattened` goes 20 objects deep.
LARGEST_RECORD, DEEPEST_RECORD = 16_384, 20

Document = dict[str, Any]
Kind = Literal["score", "event", "window"]
"""What a document is of."""
_UNKNOWN = Position(0)


@dataclass(frozen=True, slots=True)
class IndexDocument:
    """A document with its id, the event time (ms) that chooses its index, its record's position, and what it is of."""

    id: str
    time: int
    document: Document
    position: Position = _UNKNOWN
    kind: Kind = "score"


@dataclass(frozen=True, slots=True)
class ScoredBatch:
    """A shard's consecutive readings with their scores, and the silences that they revealed.

    Rows count the readings, then the silences.

    Attributes:
        stream, shard: where they come from.
        positions, arrivals: [n] of the record that held each reading; arrivals in milliseconds since 1970.
        ordinals: [n] the reading's number inside its record.
        features: [d] the names of the values.
        detector: what scored them.
        labels: what else the records say of each row's sensor, of a silence's at its last reading; empty where nothing
            is asked for.
    """

    stream: str
    shard: str
    positions: Sequence[Position]
    arrivals: Sequence[int] | Integers
    ordinals: Sequence[int]
    features: Sequence[str]
    detector: str
    readings: Readings
    scores: Scores
    silences: Sequence[SilenceEvent] = ()
    labels: Sequence[Mapping[str, str]] = ()

    def __len__(self) -> int:
        return len(self.positions)

    def revealed(self, row: int) -> SilenceEvent | None:
        """The silence that a row is, None for a reading."""
        return self.silences[row - len(self)] if row >= len(self) else None


def kind_of(document: Document) -> Kind:
    """What a document is of, by its fields."""
    if "window.program" in document:
        return "window"
    return "event" if "event.dataset" in document else "score"


def timestamp(milliseconds: int) -> str:
    """ISO 8601 in UTC with milliseconds, as all documents and answers write times."""
    second, rest = divmod(int(milliseconds), 1000)
    return f"{_second(second)}.{rest:03d}Z"


@lru_cache(maxsize=4096)
def _second(second: int) -> str:
    """A second in ISO 8601: documents of a stream have several times in each."""
    return datetime.fromtimestamp(second, UTC).isoformat()[:19]


def identity(batch: ScoredBatch, row: int) -> str:
    """The id of a row's document."""
    silence = batch.revealed(row)
    source = silence.row if silence else row
    part: int | str = f"silent {silence.sensor}" if silence else batch.ordinals[source]
    return document_id(batch.stream, batch.shard, batch.positions[source], part, batch.detector, __version__)


def describe(batch: ScoredBatch, row: int) -> Document:
    """One row's document."""
    if silence := batch.revealed(row):
        return _describe_silence(batch, row, silence)
    readings, scores = batch.readings, batch.scores
    sensor, start = readings.sensors[readings.codes[row]], int(scores.episode_start[row])
    document: Document = {
        "@timestamp": timestamp(int(readings.times[row])),
        "sensor": sensor,
        "anomaly_score": float(scores.score[row]),
        "anomaly_grade": float(scores.grade[row]),
        "severity": int(severity_of(scores.grade[row])),
        "confidence": float(scores.confidence[row]),
        "threshold": float(scores.threshold[row]) if np.isfinite(scores.threshold[row]) else None,
        "is_anomaly": bool(scores.is_anomaly[row]),
        "in_anomaly": bool(scores.in_anomaly[row]),
        "alert": bool(scores.alert[row]),
        "alert_score": float(scores.alert_score[row]),
        "anomaly_kind": KINDS[scores.kind[row]] if scores.is_anomaly[row] else None,
        "episode_id": _episode(batch, sensor, start) if start else None,
        "episode_kind": KINDS[scores.episode_kind[row]] if start else None,
        "approx_anomaly_start_time": timestamp(start) if start else None,
        "episode_peak_score": float(scores.episode_peak[row]) if start else None,
        "episode_readings": int(scores.episode_readings[row]) if start else None,
        "state": "ready" if scores.ready[row] else "learning",
        "readings_seen": int(scores.seen[row]),
    }
    for column, feature in enumerate(batch.features):
        document[f"feature_data_{feature}"] = float(readings.values[row, column])
        document[f"expected_values_{feature}"] = float(scores.expected[row, column])
        document[f"expected_lower_{feature}"] = _known(scores.expected_lower[row, column])
        document[f"expected_upper_{feature}"] = _known(scores.expected_upper[row, column])
        document[f"relevant_attribution_{feature}"] = float(scores.attribution[row, column])
    return document | _labels(batch, row) | _origin(batch, row, row, bool(scores.alert[row]))


def _describe_silence(batch: ScoredBatch, row: int, silence: SilenceEvent) -> Document:
    """Of a sensor that says nothing, at the event time and with the record that revealed it: an episode of its own."""
    return (
        {
            "@timestamp": timestamp(silence.time),
            "sensor": silence.sensor,
            "anomaly_score": None,
            "anomaly_grade": silence.grade,
            "severity": silence.severity,
            "confidence": 1.0,
            "threshold": None,
            "is_anomaly": True,
            "in_anomaly": True,
            "alert": silence.alert,
            "alert_score": None,
            "anomaly_kind": KINDS[SILENT],
            "silent_since": timestamp(silence.since),
            "episode_id": _episode(batch, silence.sensor, silence.since),
            "episode_kind": KINDS[SILENT],
            "approx_anomaly_start_time": timestamp(silence.since),
            "state": "ready",
        }
        | _labels(batch, row)
        | _origin(batch, row, silence.row, silence.alert)
    )


def _known(value: np.float64) -> float | None:
    return float(value) if np.isfinite(value) else None


def _labels(batch: ScoredBatch, row: int) -> Document:
    """What else is known of a row's sensor."""
    return {f"labels.{name}": text for name, text in batch.labels[row].items()} if batch.labels else {}


def _origin(batch: ScoredBatch, row: int, source: int, alert: bool) -> Document:
    """Where a row comes from: the record of the reading ``source``."""
    position = batch.positions[source]
    return {
        "stream": batch.stream,
        "shard": batch.shard,
        "sequence_number": str(position.sequence),
        "sub_sequence_number": position.subsequence,
        "record_ordinal": batch.ordinals[source],
        "detector_id": batch.detector,
        "detector_version": __version__,
        "event.id": identity(batch, row),
        "event.kind": "alert" if alert else "event",
        "event.module": "cutwater",
        "event.created": timestamp(batch.arrivals[source]),
        "schema_version": SCHEMA_VERSION,
    }


def index_documents(batch: ScoredBatch, rows: Iterable[int]) -> list[IndexDocument]:
    """The given rows as documents ready for the index."""
    return [_entry(batch, row) for row in rows]


def record_fields(data: bytes) -> Document:
    """The record that a reading came from, whole or not at all, and its length. For JSON objects.

    Left out is one that is longer than ``LARGEST_RECORD`` bytes, nested deeper than ``DEEPEST_RECORD``, or has a name
    with a NUL in it, so that no server refuses a document for what else its record says.
    """
    fields: Document = {"record_bytes": len(data)}
    if len(data) <= LARGEST_RECORD and _indexable(body := orjson.loads(data), DEEPEST_RECORD):
        fields["record"] = body
    return fields


def _indexable(value: Any, levels: int) -> bool:
    """Whether there are at most so many levels of objects and arrays, and no NUL in a name."""
    if isinstance(value, dict):
        return levels > 0 and all("\0" not in name and _indexable(each, levels - 1) for name, each in value.items())
    if isinstance(value, list):
        return levels > 0 and all(_indexable(each, levels - 1) for each in value)
    return True


def _entry(batch: ScoredBatch, row: int) -> IndexDocument:
    document, silence = describe(batch, row), batch.revealed(row)
    time = silence.time if silence else int(batch.readings.times[row])
    return IndexDocument(document["event.id"], time, document, batch.positions[silence.row if silence else row])


def _episode(batch: ScoredBatch, sensor: str, start: int) -> str:
    return episode_id(batch.stream, batch.shard, batch.detector, sensor, start)


class DocumentSequence(Protocol):
    """Documents that are made when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> IndexDocument: ...

    def source(self, index: int, /) -> Record:
        """The record that a document came from."""
        ...


class JoinedDocuments:
    """Several sequences of documents as one."""

    def __init__(self, *parts: DocumentSequence) -> None:
        self._parts = [part for part in parts if len(part)]
        self._starts = list(accumulate(map(len, self._parts), initial=0))

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, index: int) -> IndexDocument:
        part, within = self._part_of(index)
        return part[within]

    def __iter__(self) -> Iterator[IndexDocument]:
        return map(self.__getitem__, range(len(self)))

    def source(self, index: int) -> Record:
        """The record that a document came from."""
        part, within = self._part_of(index)
        return part.source(within)

    def _part_of(self, index: int) -> tuple[DocumentSequence, int]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = bisect_right(self._starts, index) - 1
        return self._parts[number], index - self._starts[number]
