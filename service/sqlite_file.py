"""One connection to a SQLite file, off the event loop."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from service.index.patience import Patience

T = TypeVar("T")

_PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_BUSY_SECONDS = 30


class SQLiteFile:
    """A file with tables that several tasks, and other processes, may use at once.

    Guarantee: what ``change`` has done is synchronised to disk (WAL, synchronous=FULL), so it survives a power cut.
    While the file is locked or the disk is full it waits and tries again.
    """

    def __init__(self, path: Path, name: str) -> None:
        """``name``: what the log calls it."""
        self.path = path
        self.patience = Patience(f"{name} {path}")
        self._lock = asyncio.Lock()
        self._db: sqlite3.Connection | None = None

    async def open(self, schema: str) -> None:
        """Open or create the file with these tables. Raises sqlite3.DatabaseError if it cannot be written."""
        self._db = await asyncio.to_thread(self._connect, schema)

    async def change(self, *statements: tuple[str, Sequence[tuple[Any, ...]]]) -> None:
        """Carry out statements, each with every row of its values, in one transaction."""

        def work(db: sqlite3.Connection) -> None:
            db.execute("BEGIN IMMEDIATE")
            try:
                for statement, rows in statements:
                    db.executemany(statement, rows)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

        attempt = 0
        while any(rows for _, rows in statements):
            try:
                await self._in_thread(work)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in _PASSING:  # the low byte is the kind of error
                    raise
                await self.patience.wait(str(error), attempt)
                attempt += 1
            else:
                self.patience.over()
                return

    async def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows of the answer."""
        return await self._in_thread(lambda db: db.execute(statement, values).fetchall())

    async def close(self) -> None:
        """Let go of the file."""
        async with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    def _connect(self, schema: str) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, check_same_thread=False, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.executescript(schema)
            db.execute("BEGIN IMMEDIATE")  # a file that is only readable fails here and not at the first change
            db.execute("ROLLBACK")
        except BaseException:
            db.close()
            raise
        return db

    async def _in_thread(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """One use of the connection at a time."""
        async with self._lock:
            if self._db is None:
                raise sqlite3.ProgrammingError(f"{self.path} is not open")
            return await asyncio.to_thread(work, self._db)
