"""What the indices of events and of windows hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from service.pipeline.documents import SCHEMA_VERSION
from service.pipeline.enrich import VERSION_FIELD
from service.pipeline.events import FieldType
from service.pipeline.programs import Program
from service.settings.model import Settings
from service.sinks.index.fields import OWNER, Kind, ObjectKind, property_of

ORIGIN_FIELDS: dict[str, tuple[Kind, str]] = {
    "@timestamp": ("date", "Event time; of a window its beginning."),
    "stream": ("keyword", "Stream of the record."),
    "shard": ("keyword", "Shard of the record."),
    "sequence_number": ("keyword", "Sequence number of the record; of a window that of the one that closed it."),
    "sub_sequence_number": ("long", "Number of the user record in a KPL aggregate."),
    "event.id": ("keyword", "Identity of the event or window; also the document's _id."),
    "event.module": ("keyword", "Always cutwater."),
    "event.created": ("date", "When the record arrived in the stream."),
    "schema_version": ("integer", "Version of this table."),
}
EVENT_FIELDS: dict[str, tuple[Kind, str]] = ORIGIN_FIELDS | {
    "record_ordinal": ("integer", "Number of the event in the record."),
    "event.dataset": ("keyword", "The format, as `event_format` says."),
    "event.time_source": (
        "keyword",
        "Where the event time comes from: event, local (a time in a zone that is set), envelope or arrival.",
    ),
}
WINDOW_FIELDS: dict[str, tuple[Kind, str]] = ORIGIN_FIELDS | {
    "window.program": ("keyword", "Name of the `[[windows]]` table."),
    "window.start": ("date", "First event time that belongs to the window."),
    "window.end": ("date", "First event time after it."),
    "window.key": ("keyword", "The values of the key's fields, separated by |; a missing one is \\N."),
    "window.events": ("long", "How many events it had in this shard; 0 while a key is silent."),
    "measures.": ("double", "What a measure says; of a mean also MEASURE_sum and MEASURE_count."),
}


@dataclass(frozen=True, slots=True)
class EventLayout:
    """What a stream's events may hold, and the windows that count them.

    Attributes:
        mapping: every field of the format and of the tables that enrich it, with its type.
        aliases: other names of some of these.
        programs: the windows.
    """

    mapping: Mapping[str, FieldType] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    programs: tuple[Program, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> EventLayout | None:
        """As the settings say; None for a stream of readings."""
        format_ = settings.event_reader()
        if format_ is None:
            return None
        fields: dict[str, FieldType] = {}
        aliases: dict[str, str] = {}
        for definition in settings.tables:
            fields |= definition.mapping
            aliases |= definition.aliases
        if fields:
            fields[VERSION_FIELD] = "keyword"
        return cls({**fields, **format_.mapping}, {**aliases, **format_.aliases}, settings.programs)

    def of_events(self, objects: ObjectKind) -> dict[str, Any]:
        """The index mapping of events."""
        return _mapping({**self.mapping, **_kinds(EVENT_FIELDS)}, self.aliases, objects)

    def of_windows(self, objects: ObjectKind) -> dict[str, Any]:
        """The index mapping of windows: the fields of their keys are those of events."""
        keys = {name: self.mapping.get(name, "keyword") for program in self.programs for name in program.key}
        columns = (name for program in self.programs for name in program.columns)
        fields = {**keys, **_kinds(WINDOW_FIELDS, columns)}
        return _mapping(fields, {old: new for old, new in self.aliases.items() if new in keys}, objects)

    def columns(self, kind: Literal["event", "window"]) -> list[str]:
        """The names of all fields of a document, of windows without those of their keys twice."""
        if kind == "event":
            return list(dict.fromkeys([*EVENT_FIELDS, *self.mapping]))
        keys = (name for program in self.programs for name in program.key)
        columns = (name for program in self.programs for name in program.columns)
        return list(dict.fromkeys([*_kinds(WINDOW_FIELDS, columns), *keys]))

    def field(self, name: str) -> str:
        """The field that a name stands for, which may be an alias."""
        return self.aliases.get(name, name)


def _kinds(fields: Mapping[str, tuple[Kind, str]], measures: Iterable[str] = ()) -> dict[str, Kind]:
    kinds = {name: kind for name, (kind, _) in fields.items() if not name.endswith(".")}
    return kinds | {f"measures.{name}": "double" for name in measures}


def _mapping(fields: Mapping[str, FieldType | Kind], aliases: Mapping[str, str], objects: ObjectKind) -> dict[str, Any]:
    properties = {name: property_of(objects if kind == "object" else kind) for name, kind in fields.items()}
    properties |= {old: {"type": "alias", "path": new} for old, new in aliases.items() if new in fields}
    return {"_meta": {"owner": OWNER, "schema_version": SCHEMA_VERSION}, "dynamic": False, "properties": properties}
