"""What requests may ask: query parameters, checked and turned into filters, and the names that are refused."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from fastapi import HTTPException
from pydantic import BaseModel, Field

from detector.types import AnomalyKind
from service.nearest import nearest
from service.pipeline.times import TimeError, parse_moment
from service.sinks.query import CURSOR, NEWEST, Filter, Order, Place, parse_cursor

MAX_LIMIT = 10_000

_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}  # ms
_RELATIVE = re.compile(r"now|(?:now)?([+-])(\d{1,5})([smhdw])")
# In a URL a plus means a blank. One before an offset, and one after now, was meant as a plus.
_LOST_PLUS = re.compile(r"(now|.*(?:[Tt]|:)(?:\d\d|\d{4}|\d{6})(?:[.,]\d+)?) (\d\d(?::?\d\d)?|\d+[smhdw])")

# Integers that are seconds, ms, µs or ns since 1970 beyond doubt. Next to each range lie such as parse_moment refuses;
# between some lie dates in digits, of which it takes those of the calendar.
TIME_NUMBERS = (
    (-62_135_596_800_000_500_000, -(10**17)),
    (-62_135_596_800_000_500, -(10**14)),
    (-62_135_596_800_000, -(10**11)),
    (-62_135_596_800, 1_899),
    (2_200, 29_999),
    (70_000, 190_000),
    (220_000, 699_999),
    (780_000, 1_899_999),
    (2_200_000, 2_439_999),
    (2_490_000, 18_999_999),
    (22_000_000, 1_900_010_099),
    (2_199_123_124, 2_999_999_999),
    (4_100_000_000, 189_999_999_999),
    (220_000_000_000, 18_999_999_999_999),
    (22_000_000_000_000, 18_999_999_999_999_999),
    (22_000_000_000_000_000, 99_999_999_999_999_999),
    (150_000_000_000_000_000, 619_999_999_999_999_999),
    (670_000_000_000_000_000, 18_999_999_999_999_999_999),
    (22_000_000_000_000_000_000, 253_402_300_799_999_499_999),
)
TIME_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "format": "date-time"},
        {"type": "string", "pattern": "^(now|(now)?-[0-9]{1,5}[smhdw])$"},
        *(
            {"type": "number", "minimum": first, **({"maximum": last} if last < 0 else {"exclusiveMaximum": last + 1})}
            for first, last in TIME_NUMBERS
        ),
    ]
}
_TIME = "ISO 8601, s or ms since 1970, or before now: `-15m`, `now-1h` (s, m, h, d, w)"

Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT, description="At most so many.")]
Cursor = Annotated[
    str | None,
    Field(
        description="Of the page before, for the next one, in the same order.",
        json_schema_extra={"anyOf": [{"type": "string", "pattern": f"^{CURSOR}$"}]},
    ),
]
Way = Literal["asc", "desc"]


def _time(description: str) -> Any:
    return Field(None, description=f"{description}: {_TIME}.", json_schema_extra=TIME_SCHEMA)


class WhichQuery(BaseModel):
    """Which scores are meant."""

    sensor: str | None = Field(None, description="Only this sensor.")
    shard: str | None = Field(None, description="Only of this shard.")
    kind: AnomalyKind | None = Field(None, description="Only anomalies of this kind.")
    label: list[str] = Field([], description="Only with this label: `NAME:VALUE`. `label.NAME=VALUE` means the same.")
    min_score: float | None = Field(None, ge=0, allow_inf_nan=False, description="At least this score.")
    min_severity: int | None = Field(None, ge=0, le=100, description="At least this severity.")


class _Marked(BaseModel):
    """Which of them, by what was found."""

    anomalies: bool = Field(False, description="Anomalies only.")
    alerts: bool = Field(False, description="Alerts only.")


class _Span(BaseModel):
    """When."""

    since: str | None = _time("From this event time on")
    until: str | None = _time("Before this event time")


class ScoresQuery(_Span, _Marked, WhichQuery):
    """Of GET /scores."""

    fields: list[str] = Field([], description="Only these fields of documents; several in one, with commas, are fine.")
    sort: Literal["time", "score", "severity"] = Field("time", description="By what documents are sorted.")
    order: Way = Field("desc", description="Greatest or least first. A cursor goes on in the order of its page.")
    limit: Limit = 100
    cursor: Cursor = None
    history: bool = Field(True, description="Also what is no longer in memory, from the index.")
    format: Literal["json", "ndjson", "csv"] = Field("json", description="Of the answer.")


class AnomaliesQuery(_Span, WhichQuery):
    """Of GET /anomalies."""

    order: Way = Field("desc", description="Newest or oldest first. A cursor goes on in the order of its page.")
    limit: Limit = 100
    cursor: Cursor = None


class StreamQuery(_Marked, WhichQuery):
    """Of GET /scores/stream."""


class _FieldsQuery(_Span):
    """Which events or windows are meant."""

    field: list[str] = Field(
        [],
        description="Only with this value of a field: `NAME:VALUE`; old names of fields are understood, too.",
        json_schema_extra={"items": {"type": "string", "pattern": "^[A-Za-z0-9_.@-]+:"}},
    )
    order: Way = Field("desc", description="Newest or oldest first. A cursor goes on in the order of its page.")
    limit: Limit = 100
    cursor: Cursor = None


class EventsQuery(_FieldsQuery):
    """Of GET /events."""

    shard: str | None = Field(None, description="Only of this shard.")


class WindowsQuery(_FieldsQuery):
    """Of GET /windows."""

    program: str | None = Field(None, description="Only of the `[[windows]]` table of this name.")
    key: str | None = Field(None, description="Only of this key: its values, separated by |.")


class SensorsQuery(BaseModel):
    """Of GET /sensors."""

    search: str = Field("", description="Part of the name, in any case.")
    state: Literal["learning", "ready"] | None = Field(None, description="Only those that are in this state.")
    sort: Literal["name", "last_anomaly", "severity", "score"] = Field(
        "name", description="By name, or the latest or greatest first."
    )
    limit: Limit = 50
    offset: int = Field(0, ge=0, description="How many to leave out at the beginning.")


class FeedbackQuery(BaseModel):
    """Of GET /feedback."""

    sensor: str | None = Field(None, description="Only of this sensor.")
    action: Literal["acknowledge", "mute", "normal", "missed"] | None = Field(None, description="Only this.")
    limit: Limit = 100


class WhoQuery(BaseModel):
    """Of DELETE /feedback/{word_id}."""

    who: str | None = Field(None, max_length=100, description="Who takes it back.")


class ForecastQuery(BaseModel):
    """Of GET /forecast."""

    sensor: str = Field(description="Its name.")
    horizon: int = Field(12, ge=1, le=1000, description="How many readings ahead.")


class LettersQuery(BaseModel):
    """Of GET /dead-letter."""

    limit: Limit = 100


def filter_of(query: WhichQuery, labels: Sequence[tuple[str, str]]) -> Filter:
    """The filter that a query asks for. Raises HTTPException (422)."""
    given = query.model_dump(include={"sensor", "shard", "kind", "min_score", "min_severity", "anomalies", "alerts"})
    span: dict[str, Any] = {
        name: moment(name, getattr(query, name)) for name in ("since", "until") if hasattr(query, name)
    }
    return Filter(**given, **span, labels=tuple(labels))


def span_of(query: _Span) -> tuple[int | None, int | None]:
    """The time that a query asks for, in milliseconds since 1970. Raises HTTPException (422)."""
    return moment("since", query.since), moment("until", query.until)


def labels_of(query: WhichQuery, others: Iterable[tuple[str, str]], known: Sequence[str]) -> list[tuple[str, str]]:
    """The labels that a query names as ``label=NAME:VALUE`` or as ``label.NAME=VALUE``. Raises HTTPException (422)."""
    found = [(name.removeprefix("label."), value) for name, value in others if name.startswith("label.")]
    for each in query.label:
        name, colon, value = each.partition(":")
        if not colon:
            raise HTTPException(422, f"label: {each!r} is not NAME:VALUE")
        found.append((name, value))
    for name, _ in found:
        if name not in known:
            raise HTTPException(422, f"label: {unknown(name, known, 'label_fields names')}")
    return found


def fields_of(query: ScoresQuery, known: Sequence[str]) -> list[str]:
    """The fields that a query names; none if all are wanted. Raises HTTPException (422)."""
    found = [name for each in query.fields for name in each.split(",") if name]
    for name in found:
        if name not in known:
            raise HTTPException(422, f"fields: {unknown(name, known, 'documents have')}")
    return found


def moment(name: str, given: str | float | None) -> int | None:
    """A time in milliseconds since 1970. Raises HTTPException (422)."""
    if given is None:
        return None
    text = str(given).strip()
    if lost := _LOST_PLUS.fullmatch(text):
        text = "+".join(lost.groups())
    try:
        if distance := _RELATIVE.fullmatch(text):
            sign, number, unit = distance.groups()
            return now() if sign is None else now() + int(sign + number) * _UNITS[unit]
        return parse_moment(text)
    except TimeError as error:
        raise HTTPException(422, f"{name}: {error}, nor a time before now such as -15m or now-1h") from None


def now() -> int:
    """The service's time in milliseconds since 1970."""
    return round(time.time() * 1000)


def place_of(cursor: str | None, order: Order = NEWEST) -> tuple[Order, Place | None]:
    """The order of a page and the place that it begins after. Raises HTTPException (422)."""
    if cursor is None:
        return order, None
    try:
        return parse_cursor(cursor)
    except ValueError as error:
        raise HTTPException(422, f"cursor: {str(error).removeprefix('cursor ')}") from None


def unknown(name: str, known: Sequence[str], what: str) -> str:
    """A sentence that refuses a name, with the one that may be meant."""
    return f"{name!r} is unknown" + (nearest(name, known, likeness=0.5) or f"; {what} {', '.join(known) or 'none'}")
