"""The embedded index: a SQLite file that the ``sqlite3`` shell reads.

``SELECT time, sensor, anomaly_score FROM document ORDER BY time DESC LIMIT 10`` shows the latest documents.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import orjson

from service.documents import Document, Entry, timestamp
from service.index import IndexSetupError, Page, Refused, page, place
from service.index.fields import describe_letter, encode
from service.index.patience import Patience
from service.recent import Filter
from service.records import DeadLetter

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS document (
    id TEXT PRIMARY KEY, time TEXT NOT NULL, sensor TEXT, anomaly_score REAL, anomaly_grade REAL, is_anomaly INTEGER,
    document TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS document_by_time ON document (time, id);
CREATE INDEX IF NOT EXISTS document_by_sensor ON document (sensor, time, id);
CREATE TABLE IF NOT EXISTS dead_letter (
    id TEXT PRIMARY KEY, time TEXT NOT NULL, code TEXT NOT NULL, reason TEXT NOT NULL, document TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS dead_letter_by_time ON dead_letter (time, id);
"""
_PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_BUSY_SECONDS = 30
_DAY, _HOUR = 86_400_000, 3_600_000  # ms
_SWEPT_AT_ONCE = 10_000  # documents, so that other writers get their turn


class SQLiteIndex:
    """Documents and dead letters in one file.

    Guarantee: as ``Index``. Acknowledged means synchronised to disk (WAL, synchronous=FULL), so it survives a power
    cut. Other processes may read the file meanwhile.
    """

    def __init__(self, path: Path, retention_days: int = 0) -> None:
        """``retention_days``: event time to keep before the newest document; 0 keeps everything."""
        self._path = path
        self._retention = retention_days * _DAY
        self._swept = -math.inf  # newest event time when old documents were last deleted
        self._patience = Patience(f"index {path}")
        self._lock = asyncio.Lock()
        self._db: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open or create the file. Raises IndexSetupError if it cannot be written or is something else."""
        try:
            self._db = await asyncio.to_thread(self._connect)
        except sqlite3.DatabaseError as error:
            raise IndexSetupError(f"index {self._path}: {error}; {_remedy(error)}") from None

    async def write(self, entries: Sequence[Entry]) -> list[Refused]:
        """Store documents, each once by its id; refused is only what UTF-8 JSON cannot say."""
        rows, refused = [], []
        for entry in entries:
            try:
                rows.append(_row(entry))
            except ValueError as error:
                refused.append(Refused(entry.id, "not_encodable", str(error)))
        await self._change("INSERT OR IGNORE INTO document VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        newest = max((entry.time for entry in entries), default=0)
        if self._retention and newest >= self._swept + _HOUR:
            self._swept = newest
            await self._sweep()
        return refused

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Store dead letters, each once by its id."""
        rows = []
        for letter in letters:
            document = describe_letter(letter)
            text = orjson.dumps(document).decode()
            rows.append((letter.id, document["@timestamp"], letter.code, document["reason"], text))
        await self._change("INSERT OR IGNORE INTO dead_letter VALUES (?, ?, ?, ?, ?)", rows)

    async def search(self, wanted: Filter, limit: int, cursor: str | None = None) -> Page:
        """Matching documents, newest event time first."""
        conditions: dict[str, Any] = {
            "sensor = ?": wanted.sensor,
            "time >= ?": None if wanted.since is None else timestamp(wanted.since),
            "time < ?": None if wanted.until is None else timestamp(wanted.until),
            "anomaly_score >= ?": wanted.min_score,
            "is_anomaly = ?": True if wanted.anomalies else None,
        }
        values = [value for value in conditions.values() if value is not None]
        terms = [condition for condition, value in conditions.items() if value is not None]
        if cursor is not None:
            moment, identity = place(cursor)
            terms.append("(time, id) < (?, ?)")
            values += [timestamp(moment), identity]
        where = f"WHERE {' AND '.join(terms)}" if terms else ""
        statement = f"SELECT document FROM document {where} ORDER BY time DESC, id DESC LIMIT ?"
        rows = await self._query(statement, (*values, limit))
        return page([orjson.loads(row[0]) for row in rows], limit)

    async def dead_letters(self, limit: int) -> list[Document]:
        """The newest dead letters, newest first."""
        rows = await self._query("SELECT document FROM dead_letter ORDER BY time DESC, id DESC LIMIT ?", (limit,))
        return [orjson.loads(row[0]) for row in rows]

    async def healthy(self) -> str | None:
        """None when the file answers, else why not."""
        if self._patience.trouble:
            return self._patience.trouble
        try:
            await self._query("SELECT 1 FROM document LIMIT 1", ())
        except sqlite3.Error as error:
            return str(error)
        return None

    async def close(self) -> None:
        """Let go of the file."""
        async with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    async def _sweep(self) -> None:
        """Delete what is older than the retention says."""
        ((newest,),) = await self._query("SELECT max(time) FROM document", ())
        if newest is None:
            return
        oldest = timestamp(round(datetime.fromisoformat(newest).timestamp() * 1000) - self._retention)
        some = "SELECT id FROM document WHERE time < ? LIMIT ?"
        while (await self._query(f"SELECT count(*) FROM ({some})", (oldest, 1)))[0][0]:
            await self._change(f"DELETE FROM document WHERE id IN ({some})", [(oldest, _SWEPT_AT_ONCE)])

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, check_same_thread=False, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.executescript(_SCHEMA)
            db.execute("BEGIN IMMEDIATE")  # a file that is only readable fails here and not at the first anomaly
            db.execute("ROLLBACK")
        except BaseException:
            db.close()
            raise
        return db

    async def _change(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        def change(db: sqlite3.Connection) -> None:
            db.execute("BEGIN IMMEDIATE")
            try:
                db.executemany(statement, rows)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

        attempt = 0
        while rows:
            try:
                await self._in_thread(change)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in _PASSING:  # the low byte is the kind of error
                    raise
                await self._patience.wait(str(error), attempt)
                attempt += 1
            else:
                self._patience.over()
                return

    async def _query(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return await self._in_thread(lambda db: db.execute(statement, values).fetchall())

    async def _in_thread(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """One use of the connection at a time, off the event loop."""
        async with self._lock:
            if self._db is None:
                raise sqlite3.ProgrammingError("the index is not open")
            return await asyncio.to_thread(work, self._db)


def _row(entry: Entry) -> tuple[Any, ...]:
    document = entry.document
    return (
        entry.id,
        timestamp(entry.time),
        document.get("sensor"),
        document.get("anomaly_score"),
        document.get("anomaly_grade"),
        document.get("is_anomaly"),
        encode(entry).decode(),
    )


def _remedy(error: sqlite3.DatabaseError) -> str:
    if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return "move the file away or set another data_dir"
    return "set data_dir to a folder that is writable"
