"""The stores that the settings name."""

from __future__ import annotations

import functools
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from service import UserError
from service.pipeline.models import ModelStore
from service.settings.model import Settings
from service.sinks.dead_letters import DeadLetters
from service.sinks.dead_letters.s3 import S3DeadLetters
from service.sinks.dead_letters.sqlite import SQLiteDeadLetters
from service.sinks.index import Index
from service.sinks.index.event_fields import EventLayout
from service.sinks.index.opensearch import OpenSearchIndex
from service.sinks.index.sqlite import SQLiteIndex
from service.state.blobs import Blobs
from service.state.blobs.s3 import S3Blobs
from service.state.blobs.sqlite import SQLiteBlobs
from service.state.leases import LeaseStore
from service.state.leases.dynamodb import DynamoDBLeaseStore
from service.state.leases.sqlite import SQLiteLeaseStore
from service.state.model_file import ModelFile


class Store(Protocol):
    """What all of them have in common."""

    async def open(self) -> None:
        """Connect, as soon as it can be reached. Raises UserError for what waiting cannot mend."""
        ...

    async def close(self) -> None:
        """Let go."""
        ...


S = TypeVar("S", bound=Store)


@asynccontextmanager
async def opened(store: S) -> AsyncIterator[S]:
    """A store while it is open, and closed whatever happens. Raises UserError."""
    try:
        await store.open()
        yield store
    finally:
        await store.close()


def require_data(settings: Settings, url: str) -> None:
    """Raises UserError if what should be in data_dir, because it is at no address, is not there."""
    path = settings.data_dir / "cutwater.db"
    if not url and not path.is_file():
        raise UserError(f"{path}: no such file; data_dir must be the folder in which the service keeps its state")


def make_index(settings: Settings) -> Index:
    """The index. Raises UserError."""
    if settings.opensearch_url:
        return OpenSearchIndex.of(settings)
    return SQLiteIndex(data_file(settings), settings.retention_days, EventLayout.of(settings))


def make_dead_letters(settings: Settings) -> DeadLetters:
    """The dead letters. Raises UserError."""
    url = settings.dead_letter_url
    return S3DeadLetters(url, _state_region(settings)) if url else SQLiteDeadLetters(data_file(settings))


def make_lease_store(settings: Settings, worker: str) -> LeaseStore:
    """A worker's leases. Raises UserError."""
    if settings.lease_table:
        return DynamoDBLeaseStore(settings.lease_table, settings.stream, _state_region(settings))
    return SQLiteLeaseStore(data_file(settings), settings.stream, worker)


def make_blobs(settings: Settings) -> Blobs:
    """The snapshots. Raises UserError."""
    url = settings.snapshot_url
    return S3Blobs(url, _state_region(settings)) if url else SQLiteBlobs(data_file(settings))


def make_model_store(settings: Settings) -> ModelStore:
    """A place for one shard's models that have no room in memory. Raises UserError."""
    return ModelFile(data_file(settings).parent)


def _state_region(settings: Settings) -> str:
    return settings.state_region or settings.region


def data_file(settings: Settings) -> Path:
    """The SQLite file in data_dir, which is made if needed. Raises UserError if it cannot be written.

    Workers on several machines have a folder each, so that they may share a network file system: SQLite's locks do not
    reach across it.
    """
    folder = settings.data_dir / socket.gethostname() if settings.lease_table else settings.data_dir
    return _made(folder) / "cutwater.db"


@functools.cache
def _made(folder: Path) -> Path:
    """A folder, made if needed, and tried once for all stores that lie there. Raises UserError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"data_dir = {str(folder)!r}: {error.strerror}; choose a folder that is writable") from None
    return folder
