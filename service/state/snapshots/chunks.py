"""Which chunk of a snapshot holds the newest model of each sensor, and which chunks are worth rewriting."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from service.pipeline.models import Model

CHUNK_BYTES = 8 * 1024 * 1024  # of models, before compression
MOST_SMALL_CHUNKS = 48  # less than half full, of a snapshot, before some are joined


@dataclass(slots=True)
class Chunk:
    """Models in one blob: their bytes, uncompressed, and how many of these and of the models are still the newest."""

    name: str
    size: int
    live: int
    models: int


class Chunks:
    """A snapshot's chunks, and in which of them the newest model of each sensor lies.

    The sensors are kept by SQLite in a file without a name, of which it has a few pages in memory.
    """

    def __init__(self) -> None:
        self._chunks: dict[int, Chunk] = {}  # the oldest first
        self._number = 0
        self._db = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._db.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE newest (sensor BLOB PRIMARY KEY, chunk INTEGER, size INTEGER) WITHOUT ROWID;"
            "CREATE INDEX newest_of ON newest (chunk);"
        )

    def append(self, name: str, models: Mapping[str, Model]) -> None:
        """Add a chunk; what older ones have of the same sensors is out of date from now on."""
        self._number += 1
        self._db.execute("BEGIN")
        for sensor, model in models.items():
            key, size = sensor.encode(errors="surrogatepass"), len(model.state)
            for number, before in self._db.execute("SELECT chunk, size FROM newest WHERE sensor = ?", (key,)):
                older = self._chunks[number]
                older.live -= before
                older.models -= 1
            self._db.execute("INSERT OR REPLACE INTO newest VALUES (?, ?, ?)", (key, self._number, size))
        self._db.execute("COMMIT")
        total = sum(len(model.state) for model in models.values())
        chunks = {number: chunk for number, chunk in self._chunks.items() if chunk.models}
        if models:
            chunks[self._number] = Chunk(name, total, total, len(models))
        self._chunks = chunks

    def needs_rewrite(self) -> set[str]:
        """Sensors of chunks that are to be written anew."""
        chunks = self._chunks
        numbers = {number for number, chunk in chunks.items() if 2 * chunk.live < chunk.size}
        small = sorted((chunk.size, number) for number, chunk in chunks.items() if chunk.size < CHUNK_BYTES // 2)
        if len(small) > MOST_SMALL_CHUNKS:
            numbers |= {number for _, number in small[: len(small) // 2]}
        rows = [
            row
            for number in numbers
            for row in self._db.execute("SELECT sensor FROM newest WHERE chunk = ?", (number,))
        ]
        return {key.decode(errors="surrogatepass") for (key,) in rows}

    def names(self) -> list[str]:
        """Of the chunks, the oldest first."""
        return [chunk.name for chunk in self._chunks.values()]

    def sizes(self) -> list[int]:
        """Their bytes."""
        return [chunk.size for chunk in self._chunks.values()]


def split(models: Mapping[str, Model]) -> Iterator[dict[str, Model]]:
    """The models in groups of about CHUNK_BYTES."""
    part: dict[str, Model] = {}
    size = 0
    for sensor, model in models.items():
        part[sensor] = model
        size += len(model.state)
        if size >= CHUNK_BYTES:
            yield part
            part, size = {}, 0
    if part:
        yield part
