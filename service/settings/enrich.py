"""What the setting ``enrich`` says of each table: its kind, where it comes from, and how events are joined to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from service.nearest import nearest
from service.pipeline.enrich import TableError
from service.pipeline.enrich.geo import Places
from service.pipeline.enrich.reference import (
    INDEX_TYPES,
    Column,
    ColumnType,
    ReferenceDefinition,
    kinesis_analytics_reference,
)
from service.pipeline.enrich.security_groups import InterfaceTable
from service.pipeline.events import FieldType

Kind = Literal["reference", "security-groups", "geo"]
EC2 = "ec2"  # the url of network interfaces that come from EC2 itself
PLACES = ("source.ip", "destination.ip")
_ENTRIES = {
    "reference": {"url", "join", "columns", "fields", "format", "header", "delimiter", "definition"},
    "security-groups": {"url"},
    "geo": {"database", "fields"},
}


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """One table.

    Attributes:
        name: as in ``enrichment.version``.
        kind: what it holds.
        url: where it comes from: a file, s3://BUCKET/KEY, or ``ec2``; empty for geo without a database.
        refresh: how often its source is looked at, in seconds.
        reference: how a reference table is read.
        fields: of events, whose addresses are places.
    """

    name: str
    kind: Kind
    url: str
    refresh: float = 60.0
    reference: ReferenceDefinition | None = None
    fields: tuple[str, ...] = field(default=())

    @property
    def mapping(self) -> Mapping[str, FieldType]:
        """Every field that the table may write, with its index type."""
        if self.reference:
            types = {column.name: INDEX_TYPES[column.type] for column in self.reference.columns}
            return {target: types[name] for name, target in self.reference.fields.items()}
        return Places(self.fields).mapping if self.kind == "geo" else InterfaceTable.mapping

    @property
    def aliases(self) -> Mapping[str, str]:
        """Names that older pipelines gave some of these."""
        if self.reference:
            return {}
        return Places(self.fields).aliases if self.kind == "geo" else InterfaceTable.aliases

    @classmethod
    def of(cls, name: str, table: Mapping[str, Any], folder: Path = Path()) -> TableDefinition:
        """As a table of the settings says; files are looked for from ``folder`` on.

        ``definition`` names a file with the old service's JSON, which is read here. Raises ValueError, naming the
        entry, its value and what is allowed.
        """
        if not name or len(name) > 64 or not name.replace("-", "a").replace("_", "a").isalnum():
            raise ValueError(f"{name!r}: a table's name must be letters, digits, - and _, such as users")
        kind = table.get("type")
        if kind not in _ENTRIES:
            raise ValueError(f"{name}.type = {kind!r}: must be {', '.join(get_args(Kind))}")
        known = {"type", "refresh"} | _ENTRIES[kind]
        for entry in table:
            if entry not in known:
                hint = nearest(entry, known) or f"; there are {', '.join(sorted(known))}"
                raise ValueError(f"{name}.{entry}: a table of type {kind} has no such entry{hint}")
        refresh = table.get("refresh", 60)
        if type(refresh) not in (int, float) or not 1 <= refresh <= 86_400:
            raise ValueError(f"{name}.refresh = {refresh!r}: must be 1 to 86400 seconds")
        if kind == "geo":
            fields = table.get("fields", list(PLACES))
            if not isinstance(fields, list) or not fields or not all(each and isinstance(each, str) for each in fields):
                raise ValueError(f"{name}.fields = {fields!r}: must be a list of fields with addresses")
            return cls(name, kind, _location(name, "database", table, folder, ""), refresh, None, tuple(fields))
        if kind == "security-groups":
            return cls(name, kind, _location(name, "url", table, folder, EC2), refresh)
        try:
            url, reference = _reference(name, table, folder)
        except TableError as error:
            raise ValueError(f"{name}: {error}") from None
        return cls(name, kind, url, refresh, reference)


def _location(name: str, entry: str, table: Mapping[str, Any], folder: Path, default: str | None) -> str:
    """A file below the folder, or an address."""
    url = table.get(entry, default)
    if not isinstance(url, str) or (not url and default is None):
        raise ValueError(f"{name}.{entry} = {url!r}: must be a file, or s3://BUCKET/KEY")
    if not url or url == EC2 == default:
        return url
    if url.startswith("s3://"):
        bucket, _, key = url.removeprefix("s3://").partition("/")
        if not bucket or not key:
            raise ValueError(f"{name}.{entry} = {url!r}: must name a bucket and a key, as s3://BUCKET/KEY")
        return url
    if "://" in url:
        raise ValueError(f"{name}.{entry} = {url!r}: must be a file, or s3://BUCKET/KEY")
    return str(folder / url)


def _reference(name: str, table: Mapping[str, Any], folder: Path) -> tuple[str, ReferenceDefinition]:
    join = _texts(name, "join", table, required='user_id = "user_id"')
    if "definition" in table:
        path = folder / str(table["definition"])
        try:
            old = kinesis_analytics_reference(path.read_bytes())
        except OSError as error:
            raise ValueError(f"{name}.definition = {str(path)!r}: {error.strerror}") from None
        rest = {each.name: each.name.lower() for each in old.columns if each.name not in join.values()}
        fields = _texts(name, "fields", table) or rest
        url = _location(name, "url", table, folder, old.url) if "url" in table else old.url
        return url, ReferenceDefinition(
            old.columns, join, fields, old.format, delimiter=old.delimiter, row_delimiter=old.row_delimiter
        )
    url = _location(name, "url", table, folder, None)
    form = table.get("format", "ndjson" if url.endswith((".ndjson", ".jsonl", ".json")) else "csv")
    if form not in ("csv", "ndjson"):
        raise ValueError(f"{name}.format = {form!r}: must be csv or ndjson")
    header = table.get("header", False)
    if not isinstance(header, bool):
        raise ValueError(f"{name}.header = {header!r}: must be true or false")
    types = _texts(name, "columns", table, required='user_id = "integer", gender = "text"')
    for column, type_ in types.items():
        if type_ not in get_args(ColumnType):
            raise ValueError(f"{name}.columns.{column} = {type_!r}: must be {', '.join(get_args(ColumnType))}")
    named = header or form == "ndjson"
    columns = tuple(
        Column(column, column if named else number, type_)  # type: ignore[arg-type]
        for number, (column, type_) in enumerate(types.items())
    )
    fields = _texts(name, "fields", table) or {each: each for each in types if each not in join.values()}
    return url, ReferenceDefinition(columns, join, fields, form, header, str(table.get("delimiter", ",")))


def _texts(name: str, entry: str, table: Mapping[str, Any], required: str = "") -> dict[str, str]:
    found = table.get(entry, {})
    if not isinstance(found, Mapping) or not all(each and isinstance(each, str) for each in found.values()):
        raise ValueError(f"{name}.{entry} = {found!r}: must be a table of texts")
    if required and not found:
        raise ValueError(f"{name}.{entry} is missing: write {entry} = {{ {required} }}")
    return dict(found)


def definitions_of(tables: Mapping[str, Mapping[str, Any]], folder: Path = Path()) -> Sequence[TableDefinition]:
    """All tables that the setting ``enrich`` names, in its order. Raises ValueError."""
    return [TableDefinition.of(name, table, folder) for name, table in tables.items()]
