"""docs/reference/events.md, made from the formats: ``python -m service.sinks.index.event_docs``."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

from service.pipeline.decode.formats.cloudtrail import CloudTrail
from service.pipeline.decode.formats.flow_log import FlowLog
from service.pipeline.decode.formats.json_events import JSONEvents
from service.pipeline.decode.formats.ossec import OSSEC
from service.pipeline.documents import DEEPEST_RECORD, LARGEST_RECORD, SCHEMA_VERSION
from service.pipeline.events import EventFormat
from service.sinks.index.event_fields import EVENT_FIELDS, WINDOW_FIELDS

FORMATS: tuple[tuple[EventFormat, str], ...] = (
    (
        FlowLog(),
        "VPC and transit gateway flow logs, versions 2 to 8. The default format, the one of "
        "`flow_log_format`, or that of a header line, which holds for the lines after it in the same record. "
        "A line's version does not tell its format. `-` is no value; account ids keep their zeros; times may "
        "be in seconds or milliseconds. Lines with NODATA and SKIPDATA are documents too: they tell how "
        "complete the logs are. Event time: `end`, else `start`, the envelope's time, the arrival. Fields that "
        "are not listed pass as text into `record`. A line whose values do not fit its fields is a dead "
        "letter, the whole line.",
    ),
    (
        CloudTrail(),
        "CloudTrail's records, of API calls, sign-ins, insights and services, and all other events of "
        "EventBridge. Event time: `eventTime`, else the envelope's `time`, the arrival. `source.ip` is there "
        "if `sourceIPAddress` is an address, else `source.domain`. `user.name` is the user's, the role's, the "
        "last part of the ARN, or the service that called. `event.outcome` is unknown where a record cannot "
        "tell. `targets` are the ids that request and response name. Request, response and the rest are in "
        "`record`. A record that is delivered twice is one document.",
    ),
    (
        OSSEC(),
        "Alerts of OSSEC 2.9 to 3 (JSON and alerts.log), of the first Wazuh, and of Wazuh 3 and 4. Event "
        "time: `TimeStamp`; `timestamp` if it has a zone, or in that of `event_zone`; the seconds in `id`; "
        "the envelope's time; the arrival. `rule.level` is 0 where it is left out. From a place such as "
        "`(web-1) 10.0.0.7->/var/log/messages` come `agent.name`, `host.ip` and `log.file.path`.",
    ),
    (
        JSONEvents({}),
        "JSON objects; `event_fields` says their fields, and `time_field` the event time, else the envelope's "
        "time, the arrival. A value that does not fit its field stays in `record`, and `record_unfit` names "
        "the field.",
    ),
)


CARRIERS = """
What carries the events is recognised by its content. Carriers may be nested, four deep:

- gzip, zlib, zstd
- payloads of CloudWatch Logs, also as Lambda gets them (`awslogs.data`); batches of Data Firehose
- envelopes of EventBridge; `{"Records": [...]}` of CloudTrail's files and of Lambda's batches
- arrays; JSON objects, one a line or one after the other; lines of text; blocks of alerts.log

Control messages of CloudWatch Logs are dropped and counted. What cannot be read is a dead letter of its own, which can
be sent again; the rest of the record is read. A record holds at most 100 000 events and unpacks to at most 10 MiB.
"""
FREE_PART = f"""
What has no field of its own is in `record`: `flat_object` on OpenSearch, `flattened` on Elasticsearch. Search each
value as a keyword, such as `record.requestParameters.keyName: ops`. Beyond {LARGEST_RECORD} bytes or {DEEPEST_RECORD}
levels the largest members are left out, and `record_omitted` names them. Integers beyond 64 bits, NaN
and infinities are text.
"""


def markdown() -> str:
    """The page."""
    lines = [
        "# Events",
        "",
        "Made from the formats by `python -m service.sinks.index.event_docs`; don't edit. Schema version"
        f" {SCHEMA_VERSION}.",
        "",
        "A stream with `event_format` holds events. Each becomes a document in `PREFIX-events-DAY`, with names of the",
        "Elastic Common Schema where it has one. The names of older pipelines are alias fields: old queries find the",
        "same, but a document shows the new names only. Indices have these fields only (`dynamic: false`).",
        "",
        "## Carriers",
        CARRIERS,
        "## The free part",
        FREE_PART,
        "## Fields of all events",
        "",
        *_described(EVENT_FIELDS),
    ]
    for format_, text in FORMATS:
        lines += ["", f"## {format_.name}", "", *textwrap.wrap(text, 118), "", *_fields(format_)]
    lines += ["", "## Windows", "", "In `PREFIX-windows-DAY`, with the fields of the window's key.", ""]
    return "\n".join([*lines, *_described(WINDOW_FIELDS)]) + "\n"


def _described(fields: Mapping[str, tuple[str, str]]) -> list[str]:
    ends = {".": "NAME"}
    rows = [f"| `{name}{ends.get(name[-1], '')}` | {kind} | {_cell(text)} |" for name, (kind, text) in fields.items()]
    return ["| Field | Type | |", "|---|---|---|", *rows]


def _cell(text: str) -> str:
    return text.replace("|", "&#124;")


def _fields(format_: EventFormat) -> list[str]:
    old: dict[str, list[str]] = {}
    for name, field in format_.aliases.items():
        old.setdefault(field, []).append(f"`{name}`")
    kinds = {"@timestamp": "date"} if "@timestamp" in old else {}
    rows = [
        f"| `{name}` | {'free part' if kind == 'object' else kind} | {', '.join(sorted(old.get(name, ())))} |"
        for name, kind in sorted({**kinds, **format_.mapping}.items())
    ]
    return ["| Field | Type | Other names |", "|---|---|---|", *rows]


if __name__ == "__main__":
    Path("docs/reference/events.md").write_text(markdown(), encoding="utf-8")
