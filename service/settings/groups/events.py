"""The settings of events and windows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal, Self

import jmespath
from pydantic import ConfigDict, Field, field_validator, model_validator

from service.nearest import nearest
from service.pipeline.decode.formats.cloudtrail import CloudTrail
from service.pipeline.decode.formats.flow_log import FlowLog
from service.pipeline.decode.formats.json_events import JSONEvents
from service.pipeline.decode.formats.ossec import OSSEC
from service.pipeline.event_stage import VALUE
from service.pipeline.events import EventFormat, FieldType
from service.pipeline.measures import Measure, as_text
from service.pipeline.programs import MOST_KEYS, Program
from service.settings.complaints import no_such
from service.settings.groups.enrich import EnrichSettings
from service.settings.groups.records import RecordSettings
from service.settings.table import Table

_WINDOWS_THAT_EXPIRE = 10
_TYPES = ("keyword", "long", "integer", "double", "boolean", "date", "ip", "text", "geo_point")


class WindowTable(Table):
    """Events counted in tumbling windows of event time, per key: a document each, and readings for the detector."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", examples=["clicks-per-article"])
    """Name of the windows, such as clicks-per-article."""
    key: list[str] = Field([], max_length=8)
    """Fields of events: each combination of their values has its own window. Without a key there is one window at a
    time. A list counts for each of its elements."""
    where: dict[str, Any] = Field({}, examples=["FIELD=VALUE"])
    """Which events count: fields with the value, or one of a list of values, that they must have; "*" is any."""
    every: int = Field(60, ge=1, le=86_400)
    """Length of a window in seconds. Windows start at whole multiples of it since 1970."""
    lateness: float = Field(0.0, ge=0, le=86_400)
    """Seconds for which a window stays open after its shard's newest event time has reached its end. Later events
    become dead letters."""
    expire: int | None = Field(None, ge=0, le=7 * 86_400)
    """Seconds for which a key without events gives windows of zeros. Default: ten windows."""
    measures: dict[str, str] = Field({"events": "count"}, min_length=1, max_length=30, examples=["NAME=MEASURE"])
    """What is computed: NAME = "count", "count FIELD=VALUE", or "sum FIELD", and likewise min, max, mean, distinct, and
    new, which counts values of the field that the key never had before."""
    detect: list[str] | None = None
    """Measures to look for anomalies in; each key is a sensor named NAME.MEASURE|KEY. Default: all."""
    max_keys: int = Field(10_000, ge=1, le=MOST_KEYS)
    """Keys of a shard that are kept at once. An event with a further key becomes a dead letter."""
    learn: int = Field(0, ge=0, le=90 * 86_400)
    """Seconds of event time from its first event on for which no value counts as new: what is usual is learnt."""

    @field_validator("measures")
    @classmethod
    def _some_measures(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise ValueError(f"{name!r} cannot name a measure in documents: use letters, digits and _")
            Measure.parse(text)
        return value

    @model_validator(mode="after")
    def _detected_measures(self) -> Self:
        for name in self.detect or ():
            if name not in self.measures:
                raise ValueError(f"detect: there is no measure {name}{no_such(name, self.measures)}")
        return self

    def program(self) -> Program:
        """The same for the pipeline, in milliseconds."""
        conditions = {name: each if isinstance(each, list) else [each] for name, each in self.where.items()}
        return Program(
            name=self.name,
            measures=tuple((name, Measure.parse(text)) for name, text in self.measures.items()),
            key=tuple(self.key),
            every=self.every * 1000,
            lateness=round(self.lateness * 1000),
            expire=1000 * (_WINDOWS_THAT_EXPIRE * self.every if self.expire is None else self.expire),
            where=tuple((name, frozenset(map(as_text, wanted))) for name, wanted in conditions.items()),
            detect=tuple(self.measures if self.detect is None else self.detect),
            max_keys=self.max_keys,
            learn=self.learn * 1000,
        )


class EventSettings(EnrichSettings, RecordSettings):
    """What events are made of, and what is counted of them."""

    model_config = ConfigDict(title="Events")

    event_format: Literal["", "cloudtrail", "flow-log", "ossec", "json"] = ""
    """What the stream's events are, whatever envelope carries them. Without it records hold readings. Each event
    becomes a document; windows that count events give the readings. json: JSON objects of any kind, described by
    event_fields. See docs/how-to/events.md."""
    event_fields: dict[str, str] = Field({}, max_length=200, examples=["NAME=TYPE"])
    """Fields of JSON events with their types (keyword, long, double, boolean, date, ip, text, geo_point), such as user
    = "keyword". Where the value has another name, add its JMESPath expression: user = "keyword client.name". Other
    fields are kept and can be searched as record.NAME. The event time is time_field, by default time."""
    flow_log_format: str = ""
    """Format of flow logs, if it is not the default and no header line names it, such as ${version} ${interface-id}
    ${srcaddr} ${pkt-srcaddr}."""
    event_zone: str = ""
    """Time zone of event times that name none, such as Europe/Berlin, as OSSEC writes them. Without it the envelope's
    time counts."""
    windows: tuple[WindowTable, ...] = Field((), max_length=20)
    """Windows to count events in; they need event_format. See docs/how-to/events.md."""

    @field_validator("windows")
    @classmethod
    def _different_names(cls, value: tuple[WindowTable, ...]) -> tuple[WindowTable, ...]:
        for name in _repeated(each.name for each in value):
            raise ValueError(f"two of them are called {name!r}; a name belongs to one")
        return value

    @model_validator(mode="before")
    @classmethod
    def _of_events(cls, values: Any) -> Any:
        """Defaults that a stream of events has instead: its readings are measures of windows, zeros included."""
        if not isinstance(values, dict) or not values.get("event_format"):
            return values
        return {"value_fields": {VALUE: VALUE}, "silent_after": 0.0, "time_field": "time", **values}

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if self.windows and not self.event_format:
            raise ValueError("windows: need event_format, which says what the stream's events are")
        if self.event_format and list(self.value_fields) != [VALUE]:
            raise ValueError("value_fields: a stream of events has none, as its readings are measures; leave it out")
        needs = {"event_fields": "json", "flow_log_format": "flow-log", "event_zone": "ossec"}
        for name, format_ in needs.items():
            if (value := getattr(self, name)) and self.event_format != format_:
                raise ValueError(f"{name} = {value!r}: needs event_format = {format_}, not {self.event_format!r}")
        try:
            reader = self.event_reader()
        except (ValueError, jmespath.exceptions.JMESPathError) as error:
            named = {"json": "event_fields", "ossec": "event_zone"}.get(self.event_format, "flow_log_format")
            raise ValueError(f"{named}: {error}") from None
        if reader:
            self._check_fields(reader)
        return self

    def _check_fields(self, reader: EventFormat) -> None:
        """Raises ValueError for a window of a field that no event has."""
        enriched = [name for table in self.tables for name in table.mapping]
        known = [*reader.mapping, *enriched]
        for number, table in enumerate(self.windows):
            named = {measure.field for _, measure in table.program().measures if measure.field}
            for name in (*table.key, *table.where, *sorted(named)):
                if name not in known:
                    hint = nearest(name, known) or f"; there are {', '.join(known)}"
                    raise ValueError(f"windows[{number}] ({table.name}): events have no field {name!r}{hint}")

    def event_reader(self) -> EventFormat | None:
        """What makes events of messages; None for a stream of readings. Raises ValueError."""
        if self.event_format == "cloudtrail":
            return CloudTrail()
        if self.event_format == "flow-log":
            return FlowLog(self.flow_log_format)
        if self.event_format == "ossec":
            return OSSEC(self.event_zone)
        if self.event_format == "json":
            fields = {name: _typed(name, text) for name, text in self.event_fields.items()}
            return JSONEvents(fields, self.time_field, time_formats=self.time_formats)
        return None

    @property
    def programs(self) -> tuple[Program, ...]:
        """What the windows count."""
        return tuple(each.program() for each in self.windows)


def _typed(name: str, text: str) -> tuple[FieldType, str]:
    """A field's type and the expression of its value. Raises ValueError."""
    kind, _, expression = text.strip().partition(" ")
    if kind not in _TYPES:
        raise ValueError(f"{name} = {text!r}: must begin with a type: {', '.join(_TYPES)}")
    return kind, expression.strip() or name  # type: ignore[return-value]  # it is one of them


def _repeated(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    return [name for name in names if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
