"""The one vocabulary: what a score is called in the index, in the API and on the page.

The names are those of OpenSearch Anomaly Detection's result index, flattened, so that Kibana users know them and can
chart every one. A document depends only on the record, the configuration and the detector's state: a replay makes the
same documents under the same ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from detector.batch import KINDS, Readings, Scores
from service.records import Position

SCHEMA_VERSION = 1

Document = dict[str, Any]
_UNKNOWN = Position(0)


@dataclass(frozen=True, slots=True)
class Entry:
    """A document with its id, the event time (ms) that chooses its index, and its record's position."""

    id: str
    time: int
    document: Document
    position: Position = _UNKNOWN


@dataclass(frozen=True, slots=True)
class ScoredBatch:
    """A shard's consecutive readings with their scores.

    Attributes:
        stream, shard: where they come from.
        positions, arrivals: [n] of the record that held each reading; arrivals in milliseconds since 1970.
        ordinals: [n] the reading's number inside its record.
        features: [d] the names of the values.
    """

    stream: str
    shard: str
    positions: Sequence[Position]
    arrivals: Sequence[int]
    ordinals: Sequence[int]
    features: Sequence[str]
    readings: Readings
    scores: Scores

    def __len__(self) -> int:
        return len(self.positions)


def timestamp(milliseconds: int) -> str:
    """ISO 8601 in UTC with milliseconds, as all documents and answers write times."""
    text = datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def document_id(stream: str, shard: str, position: Position, ordinal: int, detector: str) -> str:
    """A reading's identity: 32 hexadecimal digits, the same on every replay."""
    parts = "\0".join((stream, shard, str(position.sequence), str(position.subsequence), str(ordinal), detector))
    return hashlib.blake2b(parts.encode(), digest_size=16).hexdigest()


def describe(batch: ScoredBatch, row: int) -> Document:
    """One reading's document."""
    readings, scores, position = batch.readings, batch.scores, batch.positions[row]
    document: Document = {
        "@timestamp": timestamp(int(readings.times[row])),
        "sensor": readings.sensors[readings.codes[row]],
        "anomaly_score": float(scores.score[row]),
        "anomaly_grade": float(scores.grade[row]),
        "confidence": float(scores.confidence[row]),
        "threshold": float(scores.threshold[row]) if np.isfinite(scores.threshold[row]) else None,
        "is_anomaly": bool(scores.is_anomaly[row]),
        "alert": bool(scores.alert[row]),
        "alert_score": float(scores.alert_score[row]),
        "anomaly_kind": KINDS[scores.kind[row]] if scores.is_anomaly[row] or scores.alert[row] else None,
        "state": "ready" if scores.ready[row] else "learning",
        "readings_seen": int(scores.seen[row]),
    }
    for column, feature in enumerate(batch.features):
        document[f"feature_data_{feature}"] = float(readings.values[row, column])
        document[f"expected_values_{feature}"] = float(scores.expected[row, column])
        document[f"relevant_attribution_{feature}"] = float(scores.attribution[row, column])
    document["stream"] = batch.stream
    document["shard"] = batch.shard
    document["sequence_number"] = str(position.sequence)
    document["sub_sequence_number"] = position.subsequence
    document["record_ordinal"] = batch.ordinals[row]
    document["event.kind"] = "alert" if scores.alert[row] else "event"
    document["event.created"] = timestamp(batch.arrivals[row])
    document["schema_version"] = SCHEMA_VERSION
    return document


def entries(batch: ScoredBatch, rows: Iterable[int], detector: str) -> list[Entry]:
    """The given rows as documents ready for the index."""
    return [
        Entry(
            id=document_id(batch.stream, batch.shard, batch.positions[row], batch.ordinals[row], detector),
            time=int(batch.readings.times[row]),
            document=describe(batch, row) | {"detector_id": detector},
            position=batch.positions[row],
        )
        for row in rows
    ]
