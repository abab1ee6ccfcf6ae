"""The embedded SQLite file, for state that several processes may share."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from service.index.patience import Patience
from service.leases import StateError

T = TypeVar("T")

_PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_BUSY_SECONDS = 5.0
_LAST_PAUSE = 4  # doublings; a lease that is not renewed in time is lost


class Database:
    """A connection with a thread of its own, so that nothing else delays what is done with it.

    Guarantee: a transaction that returned survives a power cut (WAL, synchronous=FULL). While another process has the
    file, or the disk is full, each call waits and tries again.
    """

    def __init__(self, path: Path, purpose: str, executor: Executor | None = None) -> None:
        """``purpose`` names what is kept there, for messages; ``executor`` may be given instead of a thread."""
        self._path = path
        self._purpose = purpose
        self._executor = executor or ThreadPoolExecutor(1, purpose)
        self._patience = Patience(f"{purpose} in {path}")
        self._db: sqlite3.Connection | None = None

    @property
    def trouble(self) -> str | None:
        """What keeps the file from being used at the moment."""
        return self._patience.trouble

    async def open(self, schema: str) -> None:
        """Open or create the file. Raises StateError."""

        def connect() -> None:
            self._db = sqlite3.connect(self._path, check_same_thread=False, timeout=_BUSY_SECONDS, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(schema)
            self._db.execute("BEGIN IMMEDIATE")  # a file that is only readable fails here and not at the first change
            self._db.execute("ROLLBACK")

        try:
            await self.in_thread(connect)
        except sqlite3.Error as error:
            raise StateError(
                f"{self._purpose} in {self._path}: {error}; move the file away or set data_dir to a folder that is "
                "writable"
            ) from None

    async def execute(self, statement: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """One statement, which is a transaction; the rows that it returns."""
        return await self._insist(lambda db: db.execute(statement, values).fetchall())

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
            await self._insist(run)

    async def _insist(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do it, as soon as the file can be had."""

        def run() -> T:
            if self._db is None:
                raise sqlite3.ProgrammingError(f"the {self._purpose} are not open")
            return work(self._db)

        attempt = 0
        while True:
            try:
                result = await self.in_thread(run)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in _PASSING:  # the low byte is the kind of error
                    raise
                await self._patience.wait(str(error), min(attempt, _LAST_PAUSE))
                attempt += 1
            else:
                self._patience.over()
                return result

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
