"""The models of each shard as of its checkpoints.

A snapshot is a head and chunks of models. It stores only the models that changed since the one before; its head names
the chunks of earlier ones that it still needs. What no snapshot needs any more is collected; chunks of which half is
outdated, and small ones if there are many, are written anew with the next snapshot, so that a shard's chunks stay below
about twice its models and a restore reads few small ones. So what a snapshot costs depends on what has changed, not on
how many models there are; in memory is of each chunk a line, and nothing of each model.

Guarantee: a name stands for the same models for ever, until it is collected. Nothing that is damaged, of an unknown
format or of another configuration is ever taken for something else: each piece carries its format and a checksum.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from detector import snapshot_format
from service.pipeline.models import Model
from service.pipeline.records import HashKeys, Position

log = logging.getLogger("cutwater.snapshots")

CHUNK_BYTES = 8 * 1024 * 1024  # of models, before compression
MOST_SMALL_CHUNKS = 48  # less than half full, of a snapshot, before some are joined
_CONCURRENCY = 4  # chunks written or read
_HEAD, _CHUNK = "checkpoint", "models"  # kinds of pieces


class SnapshotError(Exception):
    """A snapshot cannot be read: it is damaged, incomplete or of an unknown format."""


class OtherConfigurationError(Exception):
    """A snapshot is whole, but its models were made with another configuration; the message says what differs."""


@dataclass(frozen=True, slots=True)
class Written:
    """A snapshot that no lease names yet; ``size`` is what it added to the store, in bytes."""

    name: str
    size: int


class Blobs(Protocol):
    """Where the pieces lie. While the store is away each call waits; StateError says what waiting cannot mend."""

    @property
    def last_error(self) -> str | None:
        """Why the store cannot be used at the moment, in one line; None if it can."""
        ...

    async def open(self) -> None:
        """Connect. Raises StateError."""
        ...

    async def put(self, name: str, data: bytes) -> None:
        """Store a piece durably."""
        ...

    async def get(self, name: str) -> bytes | None:
        """A piece; None if there is none of this name."""
        ...

    async def names(self, prefix: str) -> list[str]:
        """Names that begin so."""
        ...

    async def delete(self, names: Collection[str]) -> None:
        """Delete pieces; those that are gone already do not matter."""
        ...

    async def close(self) -> None:
        """Let go of the store."""
        ...


@dataclass(slots=True)
class _Chunk:
    """Models in one piece: their bytes, uncompressed, and how many of these and of the models are still the newest."""

    name: str
    size: int
    live: int
    models: int


class _Chunks:
    """A snapshot's chunks, and in which of them the newest model of each sensor lies.

    The sensors are kept by SQLite in a file without a name, of which it has a few pages in memory.
    """

    def __init__(self) -> None:
        self._chunks: dict[int, _Chunk] = {}  # the oldest first
        self._number = 0
        self._db = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._db.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE newest (sensor BLOB PRIMARY KEY, chunk INTEGER, size INTEGER) WITHOUT ROWID;"
            "CREATE INDEX newest_of ON newest (chunk);"
        )

    def append(self, name: str, models: Mapping[str, Model]) -> None:
        """Count a chunk in, which makes what older ones have of the same sensors outdated."""
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
            chunks[self._number] = _Chunk(name, total, total, len(models))
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


@dataclass(frozen=True, slots=True)
class ModelFingerprint:
    """Who made a snapshot's models: ``detector`` identifies what scores, ``settings`` say it in words."""

    detector: str
    settings: Mapping[str, Any]


class ShardSnapshots:
    """One shard's snapshots while one worker holds its lease.

    Args:
        blobs: the store.
        place: where the shard's pieces lie: stream/shard.
        fencing_token: the lease's counter when it was taken; tells apart what each holder wrote.
        fingerprint: what made the models.
    """

    def __init__(self, blobs: Blobs, place: str, fencing_token: int, fingerprint: ModelFingerprint) -> None:
        self._blobs = blobs
        self._place = place
        self._fencing_token = fencing_token
        self._fingerprint = fingerprint
        self._number = 0
        self._chunks = _Chunks()
        self._committed: set[str] = set()  # what the lease's snapshot needs, its head included

    async def read(self, name: str) -> dict[str, Model]:
        """All models of a snapshot, to go on from. Raises SnapshotError or OtherConfigurationError."""
        head = _head(await self._get(name), name)
        self._compare(head, name)
        limit = asyncio.Semaphore(_CONCURRENCY)

        async def fetch(chunk: str) -> dict[str, Model]:
            async with limit:
                return await asyncio.to_thread(_decode_models, await self._get(chunk), chunk)

        fetched = await asyncio.gather(*map(fetch, head["chunks"]))
        models: dict[str, Model] = {}
        for chunk, found in zip(head["chunks"], fetched, strict=True):
            await asyncio.to_thread(self._chunks.append, chunk, found)
            models |= found
        self._committed = {name, *head["chunks"]}
        return models

    async def state(self, name: str) -> bytes:
        """What a snapshot holds besides models, whatever made those. Raises SnapshotError."""
        return _decoded(await self._get(name), name, _HEAD).body

    def needs_rewrite(self) -> set[str]:
        """Sensors whose models the next snapshot must hold even if they have not changed."""
        return self._chunks.needs_rewrite()

    async def write(self, position: Position | None, models: Mapping[str, Model], state: bytes = b"") -> Written:
        """Store the models that changed since the last snapshot, those that need a rewrite, and all other state."""
        self._number += 1
        name = f"{self._place}/{self._fencing_token:012d}-{self._number:08d}"
        limit = asyncio.Semaphore(_CONCURRENCY)

        async def store(number: int, part: dict[str, Model]) -> tuple[str, int]:
            async with limit:
                data = await asyncio.to_thread(_encode_models, part)
                await self._blobs.put(f"{name}.{number}", data)
                return f"{name}.{number}", len(data)

        parts = list(_parts(models))
        stored = await asyncio.gather(*(store(number, part) for number, part in enumerate(parts)))
        for (chunk, _), part in zip(stored, parts, strict=True):
            await asyncio.to_thread(self._chunks.append, chunk, part)
        head = {
            "place": self._place,
            "position": [str(number) for number in position] if position else None,
            "detector": self._fingerprint.detector,
            "settings": dict(self._fingerprint.settings),
            "chunks": self._chunks.names(),
        }
        data = snapshot_format.encode(_HEAD, head, state)
        await self._blobs.put(name, data)
        return Written(name, len(data) + sum(size for _, size in stored))

    async def delete_unreferenced(self, name: str) -> None:
        """Delete what the snapshot does not need; the lease must name it by now."""
        needed = {name, *self._chunks.names()}
        await self._blobs.delete(self._committed - needed)
        self._committed = needed

    async def delete_orphans(self) -> None:
        """Delete what earlier holders wrote and never committed, or did not come to collect."""
        for name in await self._blobs.names(self._place + "/"):
            fencing_token = name.removeprefix(self._place + "/").partition("-")[0]
            if fencing_token.isdigit() and int(fencing_token) < self._fencing_token and name not in self._committed:
                await self._blobs.delete([name])

    async def delete_all(self) -> None:
        """Delete all that the shard has."""
        await self._blobs.delete(await self._blobs.names(self._place + "/"))

    def _compare(self, head: Mapping[str, Any], name: str) -> None:
        if head["detector"] == self._fingerprint.detector:
            return
        then, now = head["settings"], orjson.loads(orjson.dumps(dict(self._fingerprint.settings)))
        changes = [
            f"{key} was {then.get(key)!r} and is {now.get(key)!r}"
            for key in sorted(then.keys() | now.keys())
            if then.get(key) != now.get(key)
        ]
        raise OtherConfigurationError(
            f"snapshot {name} was made with another configuration: {', '.join(changes) or head['detector']}"
        )

    async def _get(self, name: str) -> bytes:
        data = await self._blobs.get(name)
        if data is None:
            raise SnapshotError(f"snapshot {name} is missing")
        return data


def _parts(models: Mapping[str, Model]) -> Iterator[dict[str, Model]]:
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


def _encode_models(models: Mapping[str, Model]) -> bytes:
    """The models behind a table of them in JSON that says any name and number; labels only where there are any."""
    rows = [
        (sensor, model.first_key, model.last_key, len(model.state), *([dict(model.labels)] if model.labels else []))
        for sensor, model in models.items()
    ]
    table = json.dumps(rows).encode()
    body = b"".join([table, *(model.state for model in models.values())])
    return snapshot_format.encode(_CHUNK, {"table": len(table)}, body)


def _decode_models(data: bytes, name: str) -> dict[str, Model]:
    _, fields, body = _decoded(data, name, _CHUNK)
    models = {}
    try:
        start = int(fields["table"])
        for sensor, first, last, size, *found in json.loads(body[:start]):
            labels = {str(name): str(text) for each in found for name, text in each.items()}
            models[str(sensor)] = Model(body[start : start + size], int(first), int(last), labels)
            start += size
    except (AttributeError, LookupError, TypeError, ValueError):
        raise SnapshotError(f"snapshot {name} is damaged: its table of models cannot be read") from None
    if start != len(body):
        raise SnapshotError(f"snapshot {name} is damaged: it holds {len(body)} bytes of models and names {start}")
    return models


def _head(data: bytes, name: str) -> dict[str, Any]:
    fields = _decoded(data, name, _HEAD).fields
    chunks = fields.get("chunks")
    if not isinstance(chunks, list) or not isinstance(fields.get("settings"), dict) or "detector" not in fields:
        raise SnapshotError(f"snapshot {name} is damaged: it does not say what it needs")
    return fields


def _decoded(data: bytes, name: str, kind: str) -> snapshot_format.Snapshot:
    """A piece taken apart. Raises SnapshotError."""
    try:
        found = snapshot_format.decode(data, "one")
    except ValueError as error:
        raise SnapshotError(f"snapshot {name}: {error}") from None
    if found.kind != kind:
        raise SnapshotError(f"snapshot {name} is damaged: it is one of {found.kind}, not of {kind}")
    return found


def in_hash_range(models: Mapping[str, Model], keys: HashKeys) -> dict[str, Model]:
    """The models whose readings may come with one of these hash keys (first and last)."""
    return {
        sensor: model for sensor, model in models.items() if model.first_key <= keys[1] and model.last_key >= keys[0]
    }


def merge_models(parents: Sequence[Mapping[str, Model]]) -> dict[str, Model]:
    """All parents' models; a sensor that several know keeps the first one's."""
    models: dict[str, Model] = {}
    for parent in reversed(parents):
        models |= parent
    return models
