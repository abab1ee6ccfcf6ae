"""The embedded index: a SQLite file that the ``sqlite3`` shell reads.

``SELECT time, sensor, anomaly_score FROM document ORDER BY time DESC LIMIT 10`` shows the latest documents.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from service import StateError
from service.pipeline.documents import Document, IndexDocument, Kind, timestamp
from service.pipeline.times import parse_time
from service.sinks.index import ALERTS, Episode, IndexSetupError, IndexUnavailableError, Page, Rejected, page
from service.sinks.index.event_fields import EventLayout
from service.sinks.index.fields import encode
from service.sinks.query import NEWEST, NO_SCORE, Filter, Find, Order, parse_cursor
from service.state.database import Database

_SCHEMA = """
CREATE TABLE IF NOT EXISTS document (
    id TEXT PRIMARY KEY, time TEXT NOT NULL, sensor TEXT, anomaly_score REAL, anomaly_grade REAL, is_anomaly INTEGER,
    alert INTEGER, episode TEXT, document TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS document_by_time ON document (time, id);
CREATE INDEX IF NOT EXISTS document_by_sensor ON document (sensor, time, id);
CREATE INDEX IF NOT EXISTS document_by_episode ON document (episode) WHERE episode IS NOT NULL;
CREATE INDEX IF NOT EXISTS document_of_alert ON document (time, id) WHERE alert;
CREATE TABLE IF NOT EXISTS event_document (id TEXT PRIMARY KEY, time TEXT NOT NULL, document TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS event_document_by_time ON event_document (time, id);
CREATE TABLE IF NOT EXISTS window_document (id TEXT PRIMARY KEY, time TEXT NOT NULL, document TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS window_document_by_time ON window_document (time, id);
"""
_TABLES: dict[Kind, str] = {"score": "document", "event": "event_document", "window": "window_document"}
_IS = (  # whether a field, or any element of one, has a value as text
    "EXISTS (SELECT 1 FROM json_each(document, ?) AS each WHERE"
    " CASE each.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(each.value AS TEXT) END = ?)"
)
_VALUES = {  # what documents are sorted by, before their event times
    "time": "",
    "score": f"coalesce(anomaly_score, {NO_SCORE})",
    "severity": "coalesce(json_extract(document, '$.severity'), 0)",
}
_DAY, _HOUR = 86_400_000, 3_600_000  # ms
_DELETED_AT_ONCE = 10_000  # documents, so that other writers get their turn


class SQLiteIndex:
    """Documents in a file. Guarantee: as ``Index`` and ``Database``; other processes may read the file meanwhile."""

    def __init__(self, path: Path, retention_days: int = 0, events: EventLayout | None = None) -> None:
        """``retention_days``: event time to keep before the newest document; 0 keeps everything. ``events``: what
        events and windows hold, of a stream of events.
        """
        self._events = events or EventLayout()
        self._file = Database(path, "index")
        self._retention = retention_days * _DAY
        self._expired_at = -math.inf  # newest event time when old documents were last deleted

    @property
    def last_error(self) -> str | None:
        """What keeps the file from being written at the moment."""
        return self._file.last_error

    async def open(self) -> None:
        """Open or create the file. Raises IndexSetupError if it cannot be written or is something else."""
        try:
            await self._file.open(_SCHEMA)
        except StateError as error:
            raise IndexSetupError(str(error)) from None

    async def write(self, documents: Sequence[IndexDocument]) -> list[Rejected]:
        """Store documents, each once by its id; refused is only what UTF-8 JSON cannot say."""
        rows: dict[Kind, list[tuple[Any, ...]]] = {kind: [] for kind in _TABLES}
        refused = []
        for entry in documents:
            try:
                rows[entry.kind].append(_row(entry))
            except ValueError as error:
                refused.append(Rejected(entry.id, "not_encodable", str(error)))
        await self._file.change(
            *(
                (f"INSERT OR IGNORE INTO {_TABLES[kind]} VALUES ({', '.join('?' * len(some[0]))})", some)
                for kind, some in rows.items()
                if some
            )
        )
        newest = max((entry.time for entry in documents), default=0)
        if self._retention and newest >= self._expired_at + _HOUR:
            self._expired_at = newest
            await self._delete_expired()
        return refused

    async def index_dead_letters(self, letters: Sequence[Document]) -> None:
        """No-op: nothing charts dead letters from here."""

    async def search(self, wanted: Filter, limit: int, cursor: str | None = None, order: Order = NEWEST) -> Page:
        """Matching documents in an order."""
        terms, values = _conditions(wanted)
        order, place = (order, None) if cursor is None else parse_cursor(cursor)
        column, way, follows = _VALUES[order.by], *(("DESC", "<") if order.descending else ("ASC", ">"))
        if place is not None:
            value, time, identity = place
            terms.append(f"({column}, time, id) {follows} (?, ?, ?)" if column else f"(time, id) {follows} (?, ?)")
            values += [*([value] if column else []), timestamp(time), identity]
        where = f"WHERE {' AND '.join(terms)}" if terms else ""
        by = ", ".join(f"{name} {way}" for name in (column, "time", "id") if name)
        rows = await self._read(f"SELECT document FROM document {where} ORDER BY {by} LIMIT ?", (*values, limit))
        return page([orjson.loads(row[0]) for row in rows], limit, order)

    async def find(self, wanted: Find, limit: int, cursor: str | None = None, order: Order = NEWEST) -> Page:
        """Matching events or windows, by time."""
        order, place = (order, None) if cursor is None else parse_cursor(cursor)
        way, follows = ("DESC", "<") if order.descending else ("ASC", ">")
        terms = ["time >= ?"] * (wanted.since is not None) + ["time < ?"] * (wanted.until is not None)
        values: list[Any] = [timestamp(time) for time in (wanted.since, wanted.until) if time is not None]
        for name, value in wanted.terms:
            terms.append(_IS)
            values += [f'$."{self._events.field(name)}"', value]
        if place is not None:
            terms.append(f"(time, id) {follows} (?, ?)")
            values += [timestamp(place[1]), place[2]]
        where = f"WHERE {' AND '.join(terms)}" if terms else ""
        statement = f"SELECT document FROM {_TABLES[wanted.kind]} {where} ORDER BY time {way}, id {way} LIMIT ?"
        rows = await self._read(statement, (*values, limit))
        return page([orjson.loads(row[0]) for row in rows], limit, order)

    async def episodes(self, ids: Sequence[str]) -> dict[str, Episode]:
        """What is known of these episodes."""
        rows = await self._read(
            "SELECT episode, max(time), (SELECT json_extract(document, '$.episode_kind') FROM document"
            " WHERE episode = of.episode ORDER BY time DESC, id DESC LIMIT 1), max(anomaly_score),"
            f" max({_VALUES['severity']}), count(*), (SELECT json_group_array(json(document)) FROM (SELECT document"
            " FROM document WHERE episode = of.episode AND alert ORDER BY time, id LIMIT ?))"
            " FROM document AS of WHERE episode IN (SELECT value FROM json_each(?)) GROUP BY episode",
            (ALERTS, orjson.dumps(list(ids)).decode()),
        )
        return {
            name: Episode(parse_time(last), kind, peak, severity, number, orjson.loads(alerts))
            for name, last, kind, peak, severity, number, alerts in rows
        }

    async def healthy(self) -> str | None:
        """None when the file answers, else why not."""
        if self._file.last_error:
            return self._file.last_error
        try:
            await self._file.execute("SELECT 1 FROM document LIMIT 1")
        except StateError as error:
            return str(error)
        return None

    async def close(self) -> None:
        """Let go of the file."""
        await self._file.close()

    async def _read(self, statement: str, values: Sequence[Any]) -> list[Any]:
        """The rows of a SELECT. Raises IndexUnavailableError."""
        try:
            return await self._file.execute(statement, tuple(values))
        except StateError as error:
            raise IndexUnavailableError(str(error)) from None

    async def _delete_expired(self) -> None:
        """Delete what is older than the retention says."""
        for table in _TABLES.values():
            ((newest,),) = await self._file.execute(f"SELECT max(time) FROM {table}")
            if newest is None:
                continue
            oldest = timestamp(parse_time(newest) - self._retention)
            while await self._file.execute(f"SELECT 1 FROM {table} WHERE time < ? LIMIT 1", (oldest,)):
                some = f"SELECT id FROM {table} WHERE time < ? LIMIT ?"
                await self._file.change((f"DELETE FROM {table} WHERE id IN ({some})", [(oldest, _DELETED_AT_ONCE)]))


def _conditions(wanted: Filter) -> tuple[list[str], list[Any]]:
    """The terms of WHERE that a filter stands for, and their values."""
    conditions: dict[str, Any] = {
        "sensor = ?": wanted.sensor,
        "time >= ?": None if wanted.since is None else timestamp(wanted.since),
        "time < ?": None if wanted.until is None else timestamp(wanted.until),
        "anomaly_score >= ?": wanted.min_score,
        "json_extract(document, '$.shard') = ?": wanted.shard,
        "json_extract(document, '$.anomaly_kind') = ?": wanted.kind,
        f"{_VALUES['severity']} >= ?": wanted.min_severity,
    }
    terms = [condition for condition, value in conditions.items() if value is not None]
    values = [value for value in conditions.values() if value is not None]
    for name, value in wanted.labels:
        terms.append("json_extract(document, ?) = ?")
        values += [f'$."labels.{name}"', value]
    terms += ["(is_anomaly OR alert)"] * wanted.anomalies + ["alert"] * wanted.alerts
    return terms, values


def _row(entry: IndexDocument) -> tuple[Any, ...]:
    document = entry.document
    if entry.kind != "score":
        return entry.id, timestamp(entry.time), encode(entry).decode()
    return (
        entry.id,
        timestamp(entry.time),
        document.get("sensor"),
        document.get("anomaly_score"),
        document.get("anomaly_grade"),
        document.get("is_anomaly"),
        document.get("alert"),
        document.get("episode_id"),
        encode(entry).decode(),
    )
