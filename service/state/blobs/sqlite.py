"""Blobs in the embedded SQLite file."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import Executor
from pathlib import Path

from service.state.database import Database

_SCHEMA = "CREATE TABLE IF NOT EXISTS snapshot (name TEXT PRIMARY KEY, data BLOB NOT NULL)"


class SQLiteBlobs:
    """Rows; see ``Blobs``. Each is a transaction, so that the leases in the same file never wait for long."""

    def __init__(self, path: Path, executor: Executor | None = None) -> None:
        self._database = Database(path, "snapshots", executor)

    @property
    def last_error(self) -> str | None:
        """What keeps the file from being used at the moment."""
        return self._database.last_error

    async def open(self) -> None:
        """Open or create the file. Raises StateError."""
        await self._database.open(_SCHEMA)

    async def put(self, name: str, data: bytes) -> None:
        """Store a row."""
        await self._database.execute("INSERT OR REPLACE INTO snapshot VALUES (?, ?)", (name, data))

    async def get(self, name: str) -> bytes | None:
        """The bytes, or None."""
        rows = await self._database.execute("SELECT data FROM snapshot WHERE name = ?", (name,))
        return bytes(rows[0][0]) if rows else None

    async def names(self, prefix: str) -> list[str]:
        """Names that begin so."""
        statement = "SELECT name FROM snapshot WHERE substr(name, 1, ?) = ? ORDER BY name"
        return [str(name) for (name,) in await self._database.execute(statement, (len(prefix), prefix))]

    async def delete(self, names: Collection[str]) -> None:
        """Delete rows."""
        for name in names:
            await self._database.execute("DELETE FROM snapshot WHERE name = ?", (name,))

    async def close(self) -> None:
        """Let go of the file."""
        await self._database.close()
