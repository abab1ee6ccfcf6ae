"""The embedded SQLite file, for state that several processes may share."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from service import StateError
from service.retry import STATE_PAUSE, Retrier

T = TypeVar("T")

_TRANSIENT = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_FORBIDDEN = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}
_WRITABLE = "set data_dir to a folder that is writable, or make this one so"
_DAMAGED = "move the file away, or restore it from a copy; docs/how-to/operations.md says what each means"
_BUSY_SECONDS = 5.0


class Database:
    """A connection with a thread of its own, so that nothing else delays what is done with it.

    Guarantee: a transaction that returned survives a power cut (WAL, synchronous=FULL). While another process has the
    file, or the disk is full, each call waits and tries again. StateError says what waiting cannot mend.
    """

    def __init__(self, path: Path, purpose: str, executor: Executor | None = None) -> None:
        """``purpose`` names what is kept there, for messages; ``executor`` may be given instead of a thread."""
        self._path = path
        self._purpose = purpose
        self._executor = executor or ThreadPoolExecutor(1, purpose)
        self._retrier = Retrier(f"{purpose} in {path}", STATE_PAUSE)
        self._db: sqlite3.Connection | None = None

    @property
    def last_error(self) -> str | None:
        """What keeps the file from being used at the moment."""
        return self._retrier.last_error

    async def open(self, schema: str) -> None:
        """Open or create the file, as soon as it can be had. Raises StateError."""

        def prepare() -> None:
            self._db = db = self._db or sqlite3.connect(
                self._path, check_same_thread=False, timeout=_BUSY_SECONDS, isolation_level=None
            )
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.executescript(schema)
            db.execute("BEGIN IMMEDIATE")  # a file that is only readable fails here and not at the first change
            db.execute("ROLLBACK")

        await self._retrier.call(lambda: self.in_thread(prepare), self._classify)

    async def execute(self, statement: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """One statement, which is a transaction; the rows that it returns."""
        return await self._run(lambda db: db.execute(statement, values).fetchall())

    async def change(self, *statements: tuple[str, Sequence[tuple[Any, ...]]]) -> None:
        """Statements, each with every row of its values, in one transaction."""

        def run(db: sqlite3.Connection) -> None:
            db.execute("BEGIN IMMEDIATE")
            try:
                for statement, rows in statements:
                    db.executemany(statement, rows)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

        if any(rows for _, rows in statements):
            await self._run(run)

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do it, as soon as the file can be had."""

        def run() -> T:
            if self._db is None:
                raise StateError(f"{self._purpose} in {self._path}: not open yet")
            return work(self._db)

        return await self._retrier.call(lambda: self.in_thread(run), self._classify)

    def _classify(self, error: Exception) -> str:
        """What is wrong with the file for now. Raises StateError if waiting cannot mend it."""
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:  # not of the file
            raise error
        if (kind := code & 0xFF) not in _TRANSIENT:
            remedy = _WRITABLE if kind in _FORBIDDEN else _DAMAGED
            raise StateError(f"{self._purpose} in {self._path}: {error}; {remedy}") from None
        return str(error)

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Run something in the connection's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function)

    async def close(self) -> None:
        """Let go of the file."""

        def disconnect() -> None:
            if self._db is not None:
                self._db.close()
                self._db = None

        await self.in_thread(disconnect)
        self._executor.shutdown(wait=False)
