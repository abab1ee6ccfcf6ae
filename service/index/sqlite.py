"""The embedded index: a SQLite file, readable with the sqlite3 shell.

Guarantee: an acknowledged document or dead letter survives a crash of process and machine (WAL, synchronous = FULL).
"""

from __future__ import annotations

import asyncio
import base64
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from service.documents import Document, Entry, timestamp
from service.index import IndexSetupError, Refused
from service.records import DeadLetter

_SCHEMA = """
CREATE TABLE IF NOT EXISTS document (
    id TEXT PRIMARY KEY, time TEXT NOT NULL, sensor TEXT NOT NULL, anomaly_score REAL NOT NULL,
    is_anomaly INTEGER NOT NULL, document TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS document_time ON document (time);
CREATE INDEX IF NOT EXISTS document_sensor ON document (sensor, time);
CREATE TABLE IF NOT EXISTS dead_letter (
    id TEXT PRIMARY KEY, arrival TEXT NOT NULL, stream TEXT NOT NULL, shard TEXT NOT NULL,
    sequence_number TEXT NOT NULL, sub_sequence_number INTEGER NOT NULL, partition_key TEXT NOT NULL,
    code TEXT NOT NULL, reason TEXT NOT NULL, data BLOB NOT NULL
);
"""


class SQLiteIndex:
    """See ``service.index.Index``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = asyncio.Lock()
        self._db: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Make the tables. Raises IndexSetupError if the file is no database or cannot be written."""
        try:
            db = sqlite3.connect(self._path, check_same_thread=False, timeout=30, isolation_level=None)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise IndexSetupError(f"{self._path}: {error}; choose another data_dir or move the file away") from None
        self._db = db

    async def write(self, entries: Sequence[Entry]) -> list[Refused]:
        """Store documents; SQLite refuses none."""
        await self._insert(
            "INSERT OR IGNORE INTO document VALUES (?, ?, ?, ?, ?, ?)",
            [
                (
                    entry.id,
                    entry.document["@timestamp"],
                    entry.document["sensor"],
                    entry.document["anomaly_score"],
                    entry.document["is_anomaly"],
                    orjson.dumps(entry.document).decode(),
                )
                for entry in entries
            ],
        )
        return []

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Store dead letters."""
        await self._insert(
            "INSERT OR IGNORE INTO dead_letter VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    letter.id,
                    timestamp(letter.record.arrival),
                    letter.stream,
                    letter.shard,
                    str(letter.record.position.sequence),
                    letter.record.position.subsequence,
                    letter.record.partition_key,
                    letter.code,
                    letter.reason,
                    letter.record.data,
                )
                for letter in letters
            ],
        )

    async def dead_letters(self, limit: int) -> list[Document]:
        """The newest dead letters, newest first."""
        rows = await self._run(
            "SELECT arrival, stream, shard, sequence_number, sub_sequence_number, partition_key, code, reason, data"
            " FROM dead_letter ORDER BY arrival DESC, rowid DESC LIMIT ?",
            (limit,),
        )
        names = ("@timestamp", "stream", "shard", "sequence_number", "sub_sequence_number", "partition_key", "code",
                 "reason", "data")  # fmt: skip
        return [dict(zip(names, (*row[:-1], base64.b64encode(row[-1]).decode()), strict=True)) for row in rows]

    async def healthy(self) -> str | None:
        """None when the file answers."""
        try:
            await self._run("SELECT 1", ())
        except sqlite3.Error as error:
            return f"{self._path}: {error}"
        return None

    async def close(self) -> None:
        """Close the file."""
        if self._db:
            self._db.close()

    async def _insert(self, statement: str, rows: list[tuple[object, ...]]) -> None:
        """All rows in one transaction."""

        def insert(db: sqlite3.Connection) -> None:
            with db:
                db.execute("BEGIN IMMEDIATE")
                db.executemany(statement, rows)

        async with self._lock:
            assert self._db is not None, "open() first"
            await asyncio.to_thread(insert, self._db)

    async def _run(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        async with self._lock:
            assert self._db is not None, "open() first"
            db = self._db
            return await asyncio.to_thread(lambda: db.execute(statement, values).fetchall())
