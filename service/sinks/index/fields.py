"""What an index holds: the type of every field, and how documents become bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import orjson

from service.pipeline.documents import DEEPEST_RECORD, LARGEST_RECORD, SCHEMA_VERSION, IndexDocument

OWNER = "cutwater"  # the mark on everything that is ours and may be changed

Kind = Literal["keyword", "double", "long", "integer", "boolean", "date", "text", "object", "ip", "geo_point", "stored"]
ObjectKind = Literal["flat_object", "flattened", "object"]  # how a server takes an object of unknown fields

# One table for templates, dashboards, tables and documentation. A name that ends in _ is one field a value of the
# stream, one that ends in a dot one field a label.
FIELDS: dict[str, tuple[Kind, str]] = {
    "@timestamp": ("date", "Event time of the reading."),
    "sensor": ("keyword", "Name of the sensor."),
    "anomaly_score": ("double", "How unusual the reading is; 0 is ordinary."),
    "anomaly_grade": ("double", "How far an anomaly lies above its threshold, 0 to 1; 0 for ordinary readings."),
    "severity": ("integer", "The grade in percent, 0 to 100; above 70 for alerts. Sort by it."),
    "confidence": ("double", "How much of its learning the model has done, 0 to 1."),
    "threshold": ("double", "Scores above it are anomalies."),
    "is_anomaly": ("boolean", "Whether the reading is an anomaly; every alert is one."),
    "in_anomaly": ("boolean", "Whether the reading lies within a fault, from its alert to its end."),
    "state": ("keyword", "learning or ready."),
    "alert": ("boolean", "Whether someone should be told: the first reading of something new."),
    "alert_score": ("double", "How new it is, compared with the recent past; 0: not new."),
    "anomaly_kind": ("keyword", "The likely kind of an anomaly, such as spike or level shift."),
    "silent_since": ("date", "Event time of the newest reading of a sensor that has fallen silent."),
    "episode_id": ("keyword", "The episode that the reading belongs to: one fault, from its alert on."),
    "episode_kind": ("keyword", "Kind of the episode as known so far; may differ from the kind of its first reading."),
    "approx_anomaly_start_time": ("date", "Event time of the alert that began the episode."),
    "episode_peak_score": ("double", "Highest `anomaly_score` in the episode so far."),
    "episode_readings": ("long", "Anomalous readings in the episode so far."),
    "readings_seen": ("long", "Readings that the sensor's model had seen before this one."),
    "feature_data_": ("double", "The value itself."),
    "expected_values_": ("double", "The value that was expected."),
    "expected_lower_": ("double", "Lower end of the interval forecast for nine of ten readings."),
    "expected_upper_": ("double", "Its upper end."),
    "relevant_attribution_": ("double", "The value's share of the score."),
    "labels.": (
        "keyword",
        "Field of the record named by `label_fields`; of a silence, that of the sensor's last record.",
    ),
    "record": ("object", "The record itself, with `index_record = on`."),
    "record_bytes": ("long", "Length of the record; one that is too long or too deep is not kept itself."),
    "stream": ("keyword", "Stream of the record."),
    "shard": ("keyword", "Shard of the record."),
    "sequence_number": ("keyword", "Sequence number of the record."),
    "sub_sequence_number": ("long", "Number of the user record in a KPL aggregate."),
    "record_ordinal": ("integer", "Number of the reading in the record."),
    "detector_id": ("keyword", "Configuration of the detector that scored."),
    "detector_version": ("keyword", "Version of Cutwater that scored."),
    "event.id": ("keyword", "Identity of the reading; also the document's _id."),
    "event.kind": ("keyword", "alert where someone should be told, else event."),
    "event.module": ("keyword", "Always cutwater."),
    "event.created": ("date", "When the record arrived in the stream."),
    "schema_version": ("integer", "Version of this table."),
}

DEAD_LETTER_FIELDS: dict[str, tuple[Kind, str]] = {
    "@timestamp": ("date", "When the record arrived in the stream."),
    "stream": ("keyword", "Stream of the record."),
    "shard": ("keyword", "Shard of the record."),
    "sequenceNumber": ("keyword", "Sequence number of the record."),
    "subSequenceNumber": ("long", "Number of the user record in a KPL aggregate."),
    "recordOrdinal": ("integer", "Number of the reading in its record; null for the whole record."),
    "partitionKey": ("keyword", "Partition key of the record."),
    "attemptsMade": ("integer", "Number of attempts."),
    "arrivalTimestamp": ("date", "When the record arrived in the stream, in milliseconds since 1970."),
    "attemptEndingTimestamp": ("date", "When it became a dead letter, in milliseconds since 1970."),
    "errorCode": ("keyword", "Short name of the reason."),
    "errorMessage": ("text", "The reason as a sentence."),
    "esDocumentId": ("keyword", "Id of the document that the index refused; null for a record."),
    "esIndexName": ("keyword", "Index of that document."),
}

# Lucene takes terms up to 32 766 bytes and counts these in UTF-16 units, which have up to three bytes each.
LONGEST_KEYWORD = 10_922


def names(fields: dict[str, tuple[Kind, str]], features: Sequence[str], labels: Sequence[str] = ()) -> dict[str, Kind]:
    """Every field of documents of a stream with these values and labels, with its type."""
    found: dict[str, Kind] = {}
    for name, (kind, _) in fields.items():
        ends = {"_": features, ".": labels}.get(name[-1], ("",))
        found |= dict.fromkeys((name + end for end in ends), kind)
    return found


def mapping(
    fields: dict[str, tuple[Kind, str]],
    features: Sequence[str],
    labels: Sequence[str] = (),
    objects: ObjectKind = "object",
) -> dict[str, Any]:
    """The index mapping of a table of fields: nothing is guessed from documents."""
    kinds = names(fields, features, labels)
    properties = {name: property_of(objects if kind == "object" else kind) for name, kind in kinds.items()}
    return {"_meta": {"owner": OWNER, "schema_version": SCHEMA_VERSION}, "dynamic": False, "properties": properties}


def property_of(kind: Kind | ObjectKind) -> dict[str, Any]:
    """A field of this type in an index mapping."""
    if kind == "keyword":
        return {"type": kind, "ignore_above": LONGEST_KEYWORD}
    if kind == "date":
        return {"type": kind, "format": "strict_date_optional_time||epoch_millis"}
    if kind == "stored":
        return {"type": "keyword", "index": False, "doc_values": False}
    if kind == "object":
        return {"type": kind, "enabled": False}  # kept, but not looked into
    return {"type": kind}


def encode(entry: IndexDocument) -> bytes:
    """A document as JSON; NaN becomes null. Raises ValueError for what JSON in UTF-8 cannot say."""
    try:
        return orjson.dumps(entry.document | {"event.id": entry.id})
    except TypeError as error:
        raise ValueError(str(error)) from None


def markdown() -> str:
    """docs/reference/documents.md."""
    lines = [
        "# Documents",
        "",
        "Made from `service/sinks/index/fields.py` by `python -m service.sinks.index.fields`; don't edit. Schema"
        f" version {SCHEMA_VERSION}.",
        "",
        "The index, `/scores` and `cutwater export` use the same names: those of OpenSearch Anomaly Detection's",
        "result index, flattened, so that each can be charted. `event.*` and `labels.*` are Elastic Common Schema.",
        "",
        "- `VALUE` stands for each of `value_fields`, `LABEL` for each of `label_fields`.",
        "- Indices have these fields only (`dynamic: false`). A field without a value is null.",
        f"- A text longer than {LONGEST_KEYWORD} characters is kept, but cannot be searched.",
        "- `sensor`, `labels.*` and `record` are text from the records. Treat them as data: escape them.",
        "- `record` is `flat_object` on OpenSearch and `flattened` on Elasticsearch: search `record.plant.name` as a",
        f"  keyword. A record of more than {LARGEST_RECORD} bytes or {DEEPEST_RECORD} levels, or with a NUL in a name,",
        "  is not kept. Integers beyond 64 bits become floats. In CSV it is JSON. Scores from memory have none.",
        "",
        *_table(FIELDS),
        "",
        "## Events and windows",
        "",
        "Their documents are in the indices `PREFIX-events-…` and `PREFIX-windows-…`: see [events](events.md).",
        "",
        "## Dead letters",
        "",
        "The form in which Amazon Data Firehose keeps failed documents, and the record's place in the stream.",
        "The store of dead letters also has `id` and `rawData` (Base64): the bytes of the document that `esDocumentId`",
        "names, else of the record. The index `PREFIX-deadletter`, for the charts, has all but these.",
        "",
        *_table(DEAD_LETTER_FIELDS),
    ]
    return "\n".join(lines) + "\n"


def _table(fields: dict[str, tuple[Kind, str]]) -> list[str]:
    ends = {"_": "VALUE", ".": "LABEL"}
    rows = [
        f"| `{name}{ends.get(name[-1], '')}` | {kind} | {text.replace('|', '&#124;')} |"
        for name, (kind, text) in fields.items()
    ]
    return ["| Field | Type | |", "|---|---|---|", *rows]


if __name__ == "__main__":
    Path("docs/reference/documents.md").write_text(markdown(), encoding="utf-8")
