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
    "anomaly_score": ("double", "How strange the reading is; 0 is ordinary."),
    "anomaly_grade": ("double", "How sure an anomaly it is, 0 to 1; 0 for ordinary readings."),
    "severity": ("integer", "How serious it is, 0 to 100: the grade in percent, above 70 for alerts; sort by it."),
    "confidence": ("double", "How far the model has learnt, 0 to 1."),
    "threshold": ("double", "Score from which the reading counts as an anomaly."),
    "is_anomaly": ("boolean", "Whether the reading is an anomaly; every alert is one."),
    "in_anomaly": ("boolean", "Whether the reading lies in a fault that goes on, from its alert to its end."),
    "state": ("keyword", "learning or ready."),
    "alert": ("boolean", "Whether someone should be notified: something new, once an episode."),
    "alert_score": ("double", "How new it is; 0 where the recent past was as unusual."),
    "anomaly_kind": ("keyword", "The likely kind of an anomaly, such as spike or level shift."),
    "silent_since": ("date", "Event time of the newest reading of a sensor that has fallen silent."),
    "episode_id": ("keyword", "The episode that the reading belongs to: what goes on since one alert."),
    "episode_kind": ("keyword", "What the episode looks like so far: its first reading cannot know."),
    "approx_anomaly_start_time": ("date", "Event time of the alert that began the episode."),
    "episode_peak_score": ("double", "Highest `anomaly_score` in the episode so far."),
    "episode_readings": ("long", "Anomalous readings in the episode so far."),
    "readings_seen": ("long", "Readings that the sensor's model had seen before this one."),
    "feature_data_": ("double", "The value itself."),
    "expected_values_": ("double", "What the model would have expected."),
    "expected_lower_": ("double", "Lower end of the interval that nine of ten readings fall into, as was forecast."),
    "expected_upper_": ("double", "Its upper end."),
    "relevant_attribution_": ("double", "The value's share of the score."),
    "labels.": (
        "keyword",
        "What the record says of its sensor, as `label_fields` asks; of a silence: what its sensor's last one said.",
    ),
    "record": ("object", "The record itself, as `index_record` asks."),
    "record_bytes": ("long", "Its length in the stream; one that is too long or too deep is not there itself."),
    "stream": ("keyword", "Stream of the record."),
    "shard": ("keyword", "Shard of the record."),
    "sequence_number": ("keyword", "Sequence number of the record."),
    "sub_sequence_number": ("long", "Number of the user record in a KPL aggregate."),
    "record_ordinal": ("integer", "Number of the reading in the record."),
    "detector_id": ("keyword", "Which configuration of the detector scored."),
    "detector_version": ("keyword", "Version of Cutwater that scored."),
    "event.id": ("keyword", "Identity of the reading; also the document's _id."),
    "event.kind": ("keyword", "alert where someone should be notified, else event."),
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
    "recordOrdinal": ("integer", "Number of the reading in its record; null if it is about the whole record."),
    "partitionKey": ("keyword", "Partition key of the record."),
    "attemptsMade": ("integer", "How often it was tried."),
    "arrivalTimestamp": ("date", "When the record arrived in the stream, in milliseconds since 1970."),
    "attemptEndingTimestamp": ("date", "When it was given up, in milliseconds since 1970."),
    "errorCode": ("keyword", "Short name of the reason."),
    "errorMessage": ("text", "The reason as a sentence."),
    "esDocumentId": ("keyword", "Identity of the document that the index refuses; null if it is about the record."),
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
    from service.sinks.index.event_fields import EVENT_FIELDS, WINDOW_FIELDS  # which are of these types

    lines = [
        "# Documents",
        "",
        "Made from `service/sinks/index/fields.py` by `python -m service.sinks.index.fields`; don't edit. Schema"
        f" version {SCHEMA_VERSION}.",
        "",
        "What is indexed, what `/scores` answers and what `cutwater export` writes have one vocabulary: the names of",
        "OpenSearch Anomaly Detection's result index, flattened, so that every one can be charted; `event.*` and",
        "`labels.*` are fields of the Elastic Common Schema. A document depends on the record, the configuration and",
        "the model only: a replay writes the same document under the same id.",
        "",
        "- A name with `VALUE` is one field for each of `value_fields`, one with `LABEL` for each of `label_fields`.",
        "- Indices know these fields and no others (`dynamic: false`); null where there is nothing to say.",
        f"- A text longer than {LONGEST_KEYWORD} characters is kept, but cannot be searched.",
        "- `sensor`, `labels.*` and `record` are what the record says, whatever that is. They are data: quote them.",
        "- `record` is `flat_object` on OpenSearch and `flattened` on Elasticsearch: `record.plant.name` can be",
        f"  searched as a keyword. One of more than {LARGEST_RECORD} bytes or {DEEPEST_RECORD} levels, or with a NUL",
        "  in a name, is left out whole. Integers beyond 64 bits become floats. In CSV it is JSON. What `/scores`",
        "  answers from memory has none, nor has the document of a silence.",
        "",
        *_table(FIELDS),
        "",
        "## Events",
        "",
        "Of a stream of events, in the indices `PREFIX-events-…`: what its format and the tables say of it, and",
        "",
        *_table(EVENT_FIELDS),
        "",
        "## Windows",
        "",
        "In the indices `PREFIX-windows-…`: a window of one key in one shard, with the fields of its key, and",
        "",
        *_table(WINDOW_FIELDS),
        "",
        "## Dead letters",
        "",
        "The form in which Amazon Data Firehose keeps failed documents, with the record's place in the stream. The",
        "store of dead letters also has `id` and `rawData`, which is Base64: the document's bytes where `esDocumentId`",
        "names one, else the record's. The index `PREFIX-deadletter`, for the charts, has the rest.",
        "",
        *_table(DEAD_LETTER_FIELDS),
    ]
    return "\n".join(lines) + "\n"


def _table(fields: dict[str, tuple[Kind, str]]) -> list[str]:
    ends = {"_": "VALUE", ".": "MEASURE" if "measures." in fields else "LABEL"}
    rows = [f"| `{name}{ends.get(name[-1], '')}` | {kind} | {text} |" for name, (kind, text) in fields.items()]
    return ["| Field | Type | |", "|---|---|---|", *rows]


if __name__ == "__main__":
    Path("docs/reference/documents.md").write_text(markdown(), encoding="utf-8")
