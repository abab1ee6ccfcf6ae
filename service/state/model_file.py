"""Models that have no room in memory, in a file of this process alone."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import orjson

from service import StateError
from service.pipeline.models import Model

T = TypeVar("T")

_SCHEMA = "CREATE TABLE model (sensor BLOB PRIMARY KEY, first TEXT, last TEXT, state BLOB, labels BLOB) WITHOUT ROWID"
_CACHE_KB = 16_384  # of pages in memory


class ModelFile:
    """A ``ModelStore`` on disk, in memory at most 16 MB, however many models there are.

    The file has no name: whatever ends the process, nothing stays of it. To look for a sensor that has no model here
    takes some ten microseconds. StateError says that the disk cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        """``folder``: where the file lies."""
        self._folder = folder
        self._count = 0
        handle, path = tempfile.mkstemp(prefix="models-", suffix=".tmp", dir=folder)
        os.close(handle)
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = OFF")
            self._db.execute("PRAGMA synchronous = OFF")
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
            self._db.execute(_SCHEMA)
        finally:
            Path(path).unlink()

    def put(self, sensor: str, model: Model) -> None:
        """Keep a model, in place of the sensor's last one."""
        labels = orjson.dumps(dict(model.labels))
        row = (_key(sensor), str(model.first_key), str(model.last_key), model.state, labels)
        known = self._has(sensor)
        self._try(lambda: self._db.execute("INSERT OR REPLACE INTO model VALUES (?, ?, ?, ?, ?)", row))
        self._count += not known

    def get(self, sensor: str) -> Model | None:
        """A model, or None."""
        statement = "SELECT state, first, last, labels FROM model WHERE sensor = ?"
        row = self._try(lambda: self._db.execute(statement, (_key(sensor),)).fetchone())
        return Model(row[0], int(row[1]), int(row[2]), orjson.loads(row[3])) if row else None

    def remove(self, sensor: str) -> None:
        """Forget a model."""
        self._count -= self._try(
            lambda: self._db.execute("DELETE FROM model WHERE sensor = ?", (_key(sensor),)).rowcount
        )

    def clear(self) -> None:
        """Forget all models."""
        self._try(lambda: self._db.execute("DELETE FROM model"))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def _has(self, sensor: str) -> bool:
        statement = "SELECT 1 FROM model WHERE sensor = ?"
        return self._try(lambda: self._db.execute(statement, (_key(sensor),)).fetchone()) is not None

    def _try(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except sqlite3.Error as error:
            raise StateError(
                f"models without room in memory, in {self._folder}: {error}; make room on the disk, or set data_dir to "
                "a folder that has it"
            ) from None


def _key(sensor: str) -> bytes:
    return sensor.encode(errors="surrogatepass")
