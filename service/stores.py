"""The stores that the settings name."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from service import UserError
from service.deadletter import DeadLetters, S3DeadLetters, SQLiteDeadLetters
from service.index import Index
from service.index.opensearch import OpenSearchIndex
from service.index.sqlite import SQLiteIndex
from service.leases import Table
from service.leases.dynamodb import DynamoDBTable
from service.leases.sqlite import SQLiteTable
from service.settings import Settings
from service.snapshots import Blobs
from service.snapshots.s3 import S3Blobs
from service.snapshots.sqlite import SQLiteBlobs


@asynccontextmanager
async def stores(settings: Settings) -> AsyncIterator[tuple[Index, DeadLetters]]:
    """The index and the dead letters, open. Raises UserError, IndexSetupError or StateError."""
    async with dead_letters_first(settings) as (index, letters):
        await index.open()
        yield index, letters


@asynccontextmanager
async def dead_letters_first(settings: Settings) -> AsyncIterator[tuple[Index, DeadLetters]]:
    """The same, with the index still to be opened: its server may be away for long. Raises UserError or StateError."""
    path = data_file(settings)
    async with AsyncExitStack() as stack:
        remote, url = settings.opensearch_url, settings.dead_letter_url
        index: Index = OpenSearchIndex.of(settings) if remote else SQLiteIndex(path, settings.retention_days)
        letters: DeadLetters = S3DeadLetters(url, settings.region) if url else SQLiteDeadLetters(path)
        for store in (index, letters):
            stack.push_async_callback(store.close)
        await letters.open()
        yield index, letters


@asynccontextmanager
async def state(settings: Settings, worker: str) -> AsyncIterator[tuple[Table, Blobs]]:
    """A worker's leases and snapshots, open. Raises UserError or StateError."""
    path = data_file(settings)
    region, name, url = settings.region, settings.lease_table, settings.snapshot_url
    table: Table = DynamoDBTable(name, settings.stream, region) if name else SQLiteTable(path, settings.stream, worker)
    blobs: Blobs = S3Blobs(url, region) if url else SQLiteBlobs(path)
    async with AsyncExitStack() as stack:
        for store in (table, blobs):
            stack.push_async_callback(store.close)
            await store.open()
        yield table, blobs


def data_file(settings: Settings) -> Path:
    """The SQLite file in data_dir, which is made if needed. Raises UserError if it cannot be written.

    Workers on several machines have a folder each, so that they may share a network file system: SQLite's locks do not
    reach across it.
    """
    folder = settings.data_dir / socket.gethostname() if settings.lease_table else settings.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"data_dir = {str(folder)!r}: {error.strerror}; choose a folder that is writable") from None
    return folder / "cutwater.db"
