"""Leases in the embedded SQLite file, for the workers of one machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from service import StateError
from service.state.database import Database
from service.state.leases import Lease

_COLUMNS = (
    "leaseKey, leaseOwner, leaseCounter, checkpoint, checkpointSubSequenceNumber, startingTimestamp, snapshot, "
    "ownerSwitchesSinceCheckpoint, parentShardId, childShardIds, startingHashKey, endingHashKey"
)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS lease (
    stream TEXT NOT NULL, leaseKey TEXT NOT NULL, leaseOwner TEXT, leaseCounter INTEGER NOT NULL,
    checkpoint TEXT NOT NULL, checkpointSubSequenceNumber INTEGER NOT NULL, startingTimestamp INTEGER, snapshot TEXT,
    ownerSwitchesSinceCheckpoint INTEGER NOT NULL, parentShardId TEXT NOT NULL, childShardIds TEXT NOT NULL,
    startingHashKey TEXT NOT NULL, endingHashKey TEXT NOT NULL,
    PRIMARY KEY (stream, leaseKey)
)
"""
_SIGNS = ", ".join("?" * 12)
_UNCHANGED = "WHERE stream = ? AND leaseKey = ? AND leaseOwner IS ? AND leaseCounter = ?"


class SQLiteLeaseStore:
    """Rows of one stream in a file that several processes may share; see ``LeaseStore``.

    A worker that died without notice is known to be gone at once: each holds a lock on a file of its own in the folder
    ``workers`` beside the table, which the system lets go when it dies.
    """

    def __init__(self, path: Path, stream: str, worker: str, executor: Executor | None = None) -> None:
        self._path = path
        self._database = Database(path, "leases", executor)
        self._stream = stream
        self._worker = worker
        self._workers = path.parent / "workers"
        self._lock_file: int | None = None

    @property
    def last_error(self) -> str | None:
        """What keeps the file from being used at the moment."""
        return self._database.last_error

    async def open(self) -> None:
        """Open or create the file. Raises StateError."""
        try:
            self._workers.mkdir(exist_ok=True)
            self._lock_file = os.open(self._workers / self._worker, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(self._lock_file, _boot_id())
        except OSError as error:
            raise StateError(
                f"{self._workers}: {error.strerror}; set data_dir to a folder that is writable and has locks"
            ) from None
        await self._database.open(_SCHEMA)
        if await self._database.execute("SELECT 1 FROM sqlite_master WHERE name = 'checkpoint'"):
            raise StateError(
                f"{self._path}: an earlier version kept its checkpoints there, which this one cannot read; move the "
                "file away to read the stream anew from where the setting start says"
            )

    async def rows(self) -> list[Lease]:
        """All rows of the stream."""
        found = await self._database.execute(f"SELECT {_COLUMNS} FROM lease WHERE stream = ?", (self._stream,))
        return [_lease(row) for row in found]

    async def row(self, shard: str) -> Lease | None:
        """One row."""
        statement = f"SELECT {_COLUMNS} FROM lease WHERE stream = ? AND leaseKey = ?"
        found = await self._database.execute(statement, (self._stream, shard))
        return _lease(found[0]) if found else None

    async def insert(self, row: Lease) -> bool:
        """Add a row unless the shard has one."""
        statement = f"INSERT OR IGNORE INTO lease (stream, {_COLUMNS}) VALUES (?, {_SIGNS}) RETURNING 1"
        return bool(await self._database.execute(statement, (self._stream, *_values(row))))

    async def replace(self, old: Lease, new: Lease) -> bool:
        """Put a row in another's place unless that has changed."""
        statement = f"UPDATE lease SET ({_COLUMNS}) = ({_SIGNS}) {_UNCHANGED} RETURNING 1"
        return bool(await self._database.execute(statement, (*_values(new), *self._identity(old))))

    async def delete(self, row: Lease) -> bool:
        """Delete a row unless it has changed."""
        return bool(await self._database.execute(f"DELETE FROM lease {_UNCHANGED} RETURNING 1", self._identity(row)))

    async def dead(self, worker: str) -> bool:
        """Whether nobody holds the worker's lock any more."""
        return await self._database.in_thread(lambda: _abandoned(self._workers / worker))

    async def close(self) -> None:
        """Let go of the file."""
        await self._database.close()
        if self._lock_file is not None:
            (self._workers / self._worker).unlink(missing_ok=True)
            os.close(self._lock_file)
            self._lock_file = None

    def _identity(self, row: Lease) -> tuple[Any, ...]:
        return self._stream, row.shard, row.owner, row.counter


def _boot_id() -> bytes:
    """Names the running kernel, within which locks can be trusted; containers of one machine share it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:  # not Linux
        return socket.gethostname().encode()


def _abandoned(path: Path) -> bool:
    """Whether a worker's file is of this machine and nobody locks it; it is deleted then."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if os.read(file, 1024) != _boot_id():
            return False  # network file systems do not always show the locks of other machines
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        with contextlib.suppress(OSError):
            path.unlink()
        return True
    finally:
        os.close(file)


def _values(lease: Lease) -> tuple[Any, ...]:
    return (
        lease.shard,
        lease.owner,
        lease.counter,
        lease.checkpoint,
        lease.subsequence,
        lease.since,
        lease.snapshot,
        lease.switches,
        ",".join(lease.parents),
        ",".join(lease.children),
        *map(str, lease.hash_keys),
    )


def _lease(row: tuple[Any, ...]) -> Lease:
    shard, owner, counter, checkpoint, subsequence, since, snapshot, switches, parents, children, first, last = row
    return Lease(
        shard=shard,
        owner=owner,
        counter=counter,
        checkpoint=checkpoint,
        subsequence=subsequence,
        since=since,
        snapshot=snapshot,
        switches=switches,
        parents=_names(parents),
        children=_names(children),
        hash_keys=(int(first), int(last)),
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()
