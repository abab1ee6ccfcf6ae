"""Where each shard stands: its position and the models as of there, committed together.

Guarantee: after ``commit`` returns, both survive a crash; a reader never sees one without the other.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from service.records import Position

SHARD_END = "SHARD_END"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS checkpoint (
    stream TEXT NOT NULL, shard TEXT NOT NULL,
    checkpoint TEXT NOT NULL, checkpointSubSequenceNumber INTEGER NOT NULL,
    PRIMARY KEY (stream, shard)
);
CREATE TABLE IF NOT EXISTS model (
    stream TEXT NOT NULL, shard TEXT NOT NULL, detector TEXT NOT NULL, sensor TEXT NOT NULL, snapshot BLOB NOT NULL,
    PRIMARY KEY (stream, shard, detector, sensor)
);
"""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All records up to ``position`` are done, and the whole shard if ``ended``."""

    position: Position | None = None
    ended: bool = False
    models: Mapping[str, bytes] = field(default_factory=dict)


class Checkpoints:
    """The checkpoints of one stream and detector, in a SQLite file."""

    def __init__(self, path: Path, stream: str, detector: str) -> None:
        self._stream, self._detector = stream, detector
        self._lock = asyncio.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, timeout=30, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)

    async def read(self, shard: str) -> Checkpoint:
        """The shard's last checkpoint with its models; an empty one if it never had any."""
        async with self._lock:
            return await asyncio.to_thread(self._read, shard)

    async def commit(self, shard: str, checkpoint: Checkpoint) -> None:
        """Move the shard to ``checkpoint``, whose models replace those of the same sensors."""
        async with self._lock:
            await asyncio.to_thread(self._commit, shard, checkpoint)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _read(self, shard: str) -> Checkpoint:
        row = self._db.execute(
            "SELECT checkpoint, checkpointSubSequenceNumber FROM checkpoint WHERE stream = ? AND shard = ?",
            (self._stream, shard),
        ).fetchone()
        if row is None:
            return Checkpoint()
        if row[0] == SHARD_END:
            return Checkpoint(ended=True)
        models = self._db.execute(
            "SELECT sensor, snapshot FROM model WHERE stream = ? AND shard = ? AND detector = ?",
            (self._stream, shard, self._detector),
        )
        return Checkpoint(Position(int(row[0]), row[1]), models=dict(models))

    def _commit(self, shard: str, checkpoint: Checkpoint) -> None:
        position = checkpoint.position
        sequence = SHARD_END if checkpoint.ended else str(position.sequence) if position else None
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "INSERT OR REPLACE INTO model VALUES (?, ?, ?, ?, ?)",
                [(self._stream, shard, self._detector, *model) for model in checkpoint.models.items()],
            )
            if sequence is not None:
                self._db.execute(
                    "INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?, ?)",
                    (self._stream, shard, sequence, position.subsequence if position else 0),
                )
