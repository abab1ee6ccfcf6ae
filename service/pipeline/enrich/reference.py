"""Reference tables: rows of a CSV or NDJSON file, joined to events by the values of some fields.

The join is a LEFT JOIN: an event without a row stays as it is. A row that cannot be read is left out and told of, the
others are used; of several rows with the same key the last one counts, so that no event is ever doubled.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from service.pipeline.enrich import Fields, TableError, digest
from service.pipeline.events import FieldType

ColumnType = Literal["text", "integer", "double", "boolean"]
Value = str | int | float | bool
INDEX_TYPES: dict[str, FieldType] = {"text": "keyword", "integer": "long", "double": "double", "boolean": "boolean"}
MOST_PROBLEMS = 20  # that are kept as text; all are counted
_INT64 = 1 << 63
_WHOLE = re.compile(r"[+-]?\d{1,19}")


@dataclass(frozen=True, slots=True)
class Column:
    """One column: where it is in a row, and what it holds.

    Attributes:
        name: by which the definition speaks of it.
        source: its number in a CSV row, from 0; or a name: of the CSV file's header, or of a key of a JSON object.
        type: of its values; what is empty or null is no value.
    """

    name: str
    source: int | str
    type: ColumnType = "text"


@dataclass(frozen=True, slots=True)
class ReferenceDefinition:
    """How a file becomes a table, and how events find their row.

    Attributes:
        columns: that are read; others are passed over.
        join: columns by the event field that must equal each.
        fields: the event field that a column's value is written to, by column; columns without one only join.
        format: csv or ndjson.
        header: whether the first row of a CSV file has the columns' names.
        delimiter: between a CSV file's columns.
        row_delimiter: between rows; CRLF is taken for LF.
    """

    columns: tuple[Column, ...]
    join: Mapping[str, str]
    fields: Mapping[str, str] = field(default_factory=dict)
    format: Literal["csv", "ndjson"] = "csv"
    header: bool = False
    delimiter: str = ","
    row_delimiter: str = "\n"

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        for name in (*self.join.values(), *self.fields):
            if name not in names:
                raise TableError(f"there is no column {name!r}; there are {', '.join(names)}")
        if len(set(names)) < len(names):
            raise TableError(f"a column is there twice: {', '.join(names)}")
        if not self.join:
            raise TableError("join names no field: say which field of the event equals which column")
        if len(self.delimiter) != 1:
            raise TableError(f"delimiter {self.delimiter!r} must be one character")
        if not self.row_delimiter:
            raise TableError("row_delimiter must not be empty")


class ReferenceTable:
    """Rows by their key; see ``Enricher``.

    Attributes:
        rows: how many there are.
        refused: how many rows of the file could not be read.
        repeated: how many rows were replaced by a later one of the same key.
        problems: the first refusals in words.
    """

    def __init__(self, definition: ReferenceDefinition, content: bytes) -> None:
        """Read a file's content. Raises TableError if it is none of this kind, or if not one of its rows can be read.

        Takes a second for a million rows.
        """
        self.version = digest(repr(definition), content)
        columns = {column.name: column for column in definition.columns}
        self.mapping = {target: INDEX_TYPES[columns[name].type] for name, target in definition.fields.items()}
        self.aliases: Mapping[str, str] = {}
        self.refused = self.repeated = 0
        self.problems: list[str] = []
        self._names = tuple(definition.join)
        self._readers = tuple(_KEYS[columns[name].type] for name in definition.join.values())
        self._rows: dict[Any, tuple[tuple[str, Value], ...]] = {}
        self._read(definition, content)
        if self.refused and not self._rows:
            raise TableError(f"none of its {self.refused} rows can be read; {self.problems[0]}")

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self._rows)

    def enrich(self, fields: Fields, time: int) -> None:
        """Add the values of the event's row, if it has one."""
        if len(self._names) == 1:
            key: Any = self._readers[0](fields.get(self._names[0]))
        else:
            key = tuple(reader(fields.get(name)) for name, reader in zip(self._names, self._readers, strict=True))
        for name, value in self._rows.get(key, ()):
            if name not in fields:
                fields[name] = value

    def _read(self, definition: ReferenceDefinition, content: bytes) -> None:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise TableError(f"it is not UTF-8: {error}") from None
        positions = [column.name for column in definition.columns]
        keys = [positions.index(name) for name in definition.join.values()]
        targets = [(positions.index(name), target) for name, target in definition.fields.items()]
        shared: dict[tuple[tuple[str, Value], ...], tuple[tuple[str, Value], ...]] = {}
        rows = _csv_rows(definition, text) if definition.format == "csv" else _json_rows(definition, text)
        for number, row in rows:
            if isinstance(row, str):
                self._refuse(number, row)
                continue
            try:
                values = [_COLUMNS[each.type](value) for each, value in zip(definition.columns, row, strict=True)]
            except ValueError as error:
                wrong = next(each for each, value in zip(definition.columns, row, strict=True) if _fails(each, value))
                self._refuse(number, f"column {wrong.name}: {error}")
                continue
            parts = [values[at] for at in keys]
            if any(part is None for part in parts):
                self._refuse(number, "a column of the join is empty, which equals nothing")
                continue
            key: Any = parts[0] if len(parts) == 1 else tuple(parts)
            found = ((target, values[at]) for at, target in targets)
            pairs = tuple((target, value) for target, value in found if value is not None)
            self.repeated += key in self._rows
            self._rows[key] = shared.setdefault(pairs, pairs)  # rows that say the same are one in memory

    def _refuse(self, number: int, reason: str) -> None:
        self.refused += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(f"row {number}: {reason}")


def _csv_rows(definition: ReferenceDefinition, text: str) -> Iterator[tuple[int, list[Any] | str]]:
    """The wanted columns of each row, or why there are none, with the row's number in the file."""
    if definition.row_delimiter not in ("\n", "\r\n"):
        text = text.replace(definition.row_delimiter, "\n")
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=definition.delimiter, strict=True)
    places = [column.source for column in definition.columns]
    first = 1
    if definition.header:
        first = 2
        names = [name.strip() for name in next(lines, [])]
        for place in places:
            if isinstance(place, str) and place not in names:
                raise TableError(f"its header has no column {place!r}; it has {', '.join(names) or 'none'}")
        places = [names.index(place) if isinstance(place, str) else place for place in places]
    indices = [place for place in places if isinstance(place, int)]
    if len(indices) < len(places):
        raise TableError("its columns are named, but header is not set")
    widest = max(indices, default=-1)
    number = first - 1
    while True:
        number += 1
        try:
            row = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, str(error)
            continue
        if row:
            short = f"it has {len(row)} columns, and column {widest + 1} is wanted"
            yield number, [row[place] for place in indices] if len(row) > widest else short


def _json_rows(definition: ReferenceDefinition, text: str) -> Iterator[tuple[int, list[Any] | str]]:
    """The same of a JSON object a line."""
    for number, line in enumerate(text.split(definition.row_delimiter), 1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            yield number, f"no JSON: {error}"
            continue
        if isinstance(row, dict):
            yield number, [row.get(str(column.source)) for column in definition.columns]
        else:
            yield number, "no JSON object"


def _fails(column: Column, value: Any) -> bool:
    try:
        _COLUMNS[column.type](value)
    except ValueError:
        return True
    return False


# A column's value: None where it is empty. Raises ValueError.


def _text(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)):
        return _text_key(value)
    raise ValueError(f"{value!r} is no text")


def _integer(value: Any) -> int | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    found = _integer_key(value)
    if found is None:
        raise ValueError(f"{value!r} is no integer of 64 bits")
    return found


def _double(value: Any) -> float | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    found = _double_key(value)
    if found is None:
        raise ValueError(f"{value!r} is no finite number")
    return found


def _boolean(value: Any) -> bool | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    found = _boolean_key(value)
    if found is None:
        raise ValueError(f"{value!r} is neither true nor false")
    return found


# The same value of an event, to look up: None, which no row has, if it cannot be one.


def _text_key(value: Any) -> str | None:
    if type(value) is str:
        return value or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value) if isinstance(value, (int, float)) else None


def _integer_key(value: Any) -> int | None:
    if type(value) is int:
        return value if -_INT64 <= value < _INT64 else None
    if isinstance(value, str):
        stripped = value.strip()
        return _integer_key(int(stripped)) if stripped.isascii() and _WHOLE.fullmatch(stripped) else None
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else None


def _double_key(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if abs(found) < float("inf") else None


def _boolean_key(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower())
    return None


_COLUMNS: dict[str, Callable[[Any], Any]] = {
    "text": _text,
    "integer": _integer,
    "double": _double,
    "boolean": _boolean,
}
_KEYS: dict[str, Callable[[Any], Any]] = {
    "text": _text_key,
    "integer": _integer_key,
    "double": _double_key,
    "boolean": _boolean_key,
}


# The old service's JSON

_SQL_TYPES: dict[str, ColumnType] = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "INT", "BIGINT"), "integer"),
    **dict.fromkeys(("DECIMAL", "DEC", "NUMERIC", "DOUBLE", "DOUBLE PRECISION", "FLOAT", "REAL"), "double"),
    **dict.fromkeys(("VARCHAR", "CHAR", "CHARACTER", "CHARACTER VARYING", "TIMESTAMP", "DATE", "TIME"), "text"),
    "BOOLEAN": "boolean",
}


@dataclass(frozen=True, slots=True)
class KinesisAnalyticsReference:
    """What Kinesis Analytics was told of a reference table: its name, where it lies, and how it is read."""

    name: str
    url: str
    columns: tuple[Column, ...]
    format: Literal["csv", "ndjson"]
    delimiter: str
    row_delimiter: str


def kinesis_analytics_reference(content: bytes | str) -> KinesisAnalyticsReference:
    """Read the JSON that Kinesis Analytics' AddApplicationReferenceDataSource took, or its ReferenceDataSource alone.

    Raises TableError.
    """
    try:
        source = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise TableError(f"no JSON: {error}") from None
    source = source.get("ReferenceDataSource", source) if isinstance(source, dict) else source
    try:
        place, schema = source["S3ReferenceDataSource"], source["ReferenceSchema"]
        form = schema["RecordFormat"]
        kind = str(form["RecordFormatType"]).upper()
        how = (form.get("MappingParameters") or {}).get(f"{kind}MappingParameters") or {}
        bucket = str(place["BucketARN"]).rpartition(":")[2]
        columns = tuple(_sql_columns(schema["RecordColumns"], kind))
        if kind not in ("CSV", "JSON"):
            raise TableError(f"RecordFormatType {kind!r} is neither CSV nor JSON")
        return KinesisAnalyticsReference(
            name=str(source["TableName"]),
            url=f"s3://{bucket}/{place['FileKey']}",
            columns=columns,
            format="csv" if kind == "CSV" else "ndjson",
            delimiter=str(how.get("RecordColumnDelimiter", ",")),
            row_delimiter=str(how.get("RecordRowDelimiter", "\n")),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise TableError(f"no reference of Kinesis Analytics: {error} is missing or of another kind") from None


def _sql_columns(columns: Iterable[Mapping[str, Any]], kind: str) -> Iterator[Column]:
    for number, column in enumerate(columns):
        name, sql = str(column["Name"]), str(column["SqlType"])
        type_ = _SQL_TYPES.get(sql.partition("(")[0].strip().upper())
        if type_ is None:
            raise TableError(f"column {name}: SqlType {sql!r} is not known; there are {', '.join(_SQL_TYPES)}")
        mapped = str(column.get("Mapping", number if kind == "CSV" else name))
        if kind == "CSV":
            if not (mapped.isascii() and mapped.isdigit()):
                raise TableError(f"column {name}: Mapping {mapped!r} is no number of a CSV column")
            yield Column(name, int(mapped), type_)
        else:
            yield Column(name, mapped.removeprefix("$."), type_)
