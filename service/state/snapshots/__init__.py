"""The models of each shard as of its checkpoints.

A snapshot is a head and chunks of models. It stores only the models that changed since the one before; its head names
the chunks of earlier ones that it still needs. What no snapshot needs any more is collected; chunks of which half is
outdated, and small ones if there are many, are written anew with the next snapshot, so that a shard's chunks stay below
about twice its models and a restore reads few of them.

Guarantee: a name stands for the same models for ever, until it is collected. Nothing that is damaged, of an unknown
format or of another configuration is ever taken for something else: each piece carries its format and a checksum.
"""

from __future__ import annotations

import asyncio
import json
import logging
import struct
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import zstandard

from service.pipeline.models import Model
from service.pipeline.records import HashKeys, Position

log = logging.getLogger("cutwater.snapshots")

FORMAT = 1
CHUNK_BYTES = 8 * 1024 * 1024  # of models, before compression
MOST_CHUNKS = 48  # of a snapshot, before small ones are joined
_AT_ONCE = 4  # chunks written or read
_FRAME = struct.Struct("<8sHI")  # magic, format, CRC-32 of what follows
_MAGIC = b"CUTWATER"
_LENGTH = struct.Struct("<I")
_LEVEL = 1  # of compression: models hardly shrink further at any other


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
    def trouble(self) -> str | None:
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
    """Models in one piece, and what of them is still the newest."""

    name: str
    size: int  # of its models in bytes, uncompressed
    live: dict[str, int]  # sensor: bytes


@dataclass(frozen=True, slots=True)
class Making:
    """Who made a snapshot's models: ``detector`` identifies what scores, ``settings`` say it in words."""

    detector: str
    settings: Mapping[str, Any]


class ShardSnapshots:
    """One shard's snapshots while one worker holds its lease.

    Args:
        blobs: the store.
        place: where the shard's pieces lie: stream/shard.
        term: the lease's counter when it was taken; tells apart what each holder wrote.
        making: what made the models.
    """

    def __init__(self, blobs: Blobs, place: str, term: int, making: Making) -> None:
        self._blobs = blobs
        self._place = place
        self._term = term
        self._making = making
        self._number = 0
        self._chunks: list[_Chunk] = []
        self._committed: set[str] = set()  # what the lease's snapshot needs, its head included

    async def read(self, name: str) -> dict[str, Model]:
        """All models of a snapshot, to go on from. Raises SnapshotError or OtherConfigurationError."""
        head = _head(await self._get(name), name)
        self._compare(head, name)
        gate = asyncio.Semaphore(_AT_ONCE)

        async def fetch(chunk: str) -> dict[str, Model]:
            async with gate:
                return await asyncio.to_thread(_unpack, await self._get(chunk), chunk)

        fetched = await asyncio.gather(*map(fetch, head["chunks"]))
        models: dict[str, Model] = {}
        for chunk, found in zip(head["chunks"], fetched, strict=True):
            self._append(chunk, found)
            models |= found
        self._committed = {name, *head["chunks"]}
        return models

    def outdated(self) -> set[str]:
        """Sensors whose models the next snapshot must hold even if they have not changed."""
        shrunk = [chunk for chunk in self._chunks if 2 * sum(chunk.live.values()) < chunk.size]
        if len(self._chunks) > MOST_CHUNKS:
            shrunk += sorted(self._chunks, key=lambda chunk: chunk.size)[: len(self._chunks) // 2]
        return {sensor for chunk in shrunk for sensor in chunk.live}

    async def write(self, position: Position | None, models: Mapping[str, Model]) -> Written:
        """Store the models that changed since the last snapshot, and those that were ``outdated``."""
        self._number += 1
        name = f"{self._place}/{self._term:012d}-{self._number:08d}"
        gate = asyncio.Semaphore(_AT_ONCE)

        async def store(number: int, part: dict[str, Model]) -> tuple[str, int]:
            async with gate:
                data = await asyncio.to_thread(_pack, part)
                await self._blobs.put(f"{name}.{number}", data)
                return f"{name}.{number}", len(data)

        parts = list(_parts(models))
        stored = await asyncio.gather(*(store(number, part) for number, part in enumerate(parts)))
        for (chunk, _), part in zip(stored, parts, strict=True):
            self._append(chunk, part)
        self._chunks = [chunk for chunk in self._chunks if chunk.live]
        head = {
            "place": self._place,
            "position": list(position) if position else None,
            "detector": self._making.detector,
            "settings": dict(self._making.settings),
            "chunks": [chunk.name for chunk in self._chunks],
        }
        data = _seal(json.dumps(head).encode())
        await self._blobs.put(name, data)
        return Written(name, len(data) + sum(size for _, size in stored))

    async def collect(self, name: str) -> None:
        """Delete what the snapshot does not need; the lease must name it by now."""
        needed = {name, *(chunk.name for chunk in self._chunks)}
        await self._blobs.delete(self._committed - needed)
        self._committed = needed

    async def sweep(self) -> None:
        """Delete what earlier holders wrote and never committed, or did not come to collect."""
        for name in await self._blobs.names(self._place + "/"):
            term = name.removeprefix(self._place + "/").partition("-")[0]
            if term.isdigit() and int(term) < self._term and name not in self._committed:
                await self._blobs.delete([name])

    async def forget(self) -> None:
        """Delete all that the shard has."""
        await self._blobs.delete(await self._blobs.names(self._place + "/"))

    def _append(self, name: str, models: Mapping[str, Model]) -> None:
        """Count a chunk in, which makes what older ones have of the same sensors outdated."""
        for chunk in self._chunks:
            for sensor in models.keys() & chunk.live.keys():
                del chunk.live[sensor]
        live = {sensor: len(model.state) for sensor, model in models.items()}
        self._chunks.append(_Chunk(name, sum(live.values()), live))

    def _compare(self, head: Mapping[str, Any], name: str) -> None:
        if head["detector"] == self._making.detector:
            return
        then, now = head["settings"], json.loads(json.dumps(dict(self._making.settings)))
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


def _pack(models: Mapping[str, Model]) -> bytes:
    table = [(sensor, model.first_key, model.last_key, len(model.state)) for sensor, model in models.items()]
    index = json.dumps(table).encode()
    body = b"".join([_LENGTH.pack(len(index)), index, *(model.state for model in models.values())])
    return _seal(body)


def _unpack(data: bytes, name: str) -> dict[str, Model]:
    body = _unseal(data, name)
    (length,) = _LENGTH.unpack_from(body)
    start = _LENGTH.size + length
    models = {}
    for sensor, first, last, size in json.loads(body[_LENGTH.size : start]):
        models[sensor] = Model(body[start : start + size], first, last)
        start += size
    return models


def _head(data: bytes, name: str) -> dict[str, Any]:
    head: dict[str, Any] = json.loads(_unseal(data, name))
    return head


def _seal(body: bytes) -> bytes:
    rest = zstandard.compress(body, _LEVEL)
    return _FRAME.pack(_MAGIC, FORMAT, zlib.crc32(rest)) + rest


def _unseal(data: bytes, name: str) -> bytes:
    if len(data) < _FRAME.size or not data.startswith(_MAGIC):
        raise SnapshotError(f"snapshot {name} is damaged: it does not begin as one")
    _, version, checksum = _FRAME.unpack_from(data)
    if version != FORMAT:
        raise SnapshotError(f"snapshot {name} has format {version}; this version of Cutwater reads format {FORMAT}")
    rest = data[_FRAME.size :]
    if zlib.crc32(rest) != checksum:
        raise SnapshotError(f"snapshot {name} is damaged: its checksum does not match")
    return zstandard.decompress(rest)


def of_keys(models: Mapping[str, Model], keys: HashKeys) -> dict[str, Model]:
    """The models whose readings may come with one of these hash keys (first and last)."""
    return {
        sensor: model for sensor, model in models.items() if model.first_key <= keys[1] and model.last_key >= keys[0]
    }


def merged(parents: Sequence[Mapping[str, Model]]) -> dict[str, Model]:
    """All parents' models; a sensor that several know keeps the first one's."""
    models: dict[str, Model] = {}
    for parent in reversed(parents):
        models |= parent
    return models
