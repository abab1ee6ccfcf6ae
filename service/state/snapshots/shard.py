"""One shard's snapshots, written as differences.

A snapshot is a head and chunks of models. It stores only the models that changed since the one before; its head names
the chunks of earlier ones that it still needs. What no snapshot needs any more is deleted; chunks of which half is
out of date, and small ones if there are many, are rewritten with the next snapshot, so that a shard's chunks stay below
about twice its models and a restore reads few small ones. So what a snapshot costs depends on what has changed, not on
how many models there are; in memory is of each chunk a line, and nothing of each model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson

from detector import snapshot_format
from service.pipeline.models import Model
from service.pipeline.records import Position
from service.state.blobs import Blobs
from service.state.snapshots import ModelFingerprint, OtherConfigurationError, SnapshotError, Written
from service.state.snapshots.chunks import Chunks, split
from service.state.snapshots.format import HEAD, decode, decode_head, decode_models, encode_models

_CONCURRENCY = 4  # chunks written or read at once


class ShardSnapshots:
    """One shard's snapshots while one worker holds its lease.

    Args:
        blobs: the store.
        place: where the shard's blobs lie: stream/shard.
        fencing_token: the lease's counter when it was taken; tells apart what each holder wrote.
        fingerprint: what made the models.
    """

    def __init__(self, blobs: Blobs, place: str, fencing_token: int, fingerprint: ModelFingerprint) -> None:
        self._blobs = blobs
        self._place = place
        self._fencing_token = fencing_token
        self._fingerprint = fingerprint
        self._number = 0
        self._chunks = Chunks()
        self._committed: set[str] = set()  # what the lease's snapshot needs, its head included

    async def read(self, name: str) -> dict[str, Model]:
        """All models of a snapshot, to go on from. Raises SnapshotError or OtherConfigurationError."""
        head = decode_head(await self._get(name), name)
        self._compare(head, name)
        limit = asyncio.Semaphore(_CONCURRENCY)

        async def fetch(chunk: str) -> dict[str, Model]:
            async with limit:
                return await asyncio.to_thread(decode_models, await self._get(chunk), chunk)

        fetched = await asyncio.gather(*map(fetch, head["chunks"]))
        models: dict[str, Model] = {}
        for chunk, found in zip(head["chunks"], fetched, strict=True):
            await asyncio.to_thread(self._chunks.append, chunk, found)
            models |= found
        self._committed = {name, *head["chunks"]}
        return models

    async def state(self, name: str) -> bytes:
        """What a snapshot holds besides models, whatever made those. Raises SnapshotError."""
        return decode(await self._get(name), name, HEAD).body

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
                data = await asyncio.to_thread(encode_models, part)
                await self._blobs.put(f"{name}.{number}", data)
                return f"{name}.{number}", len(data)

        parts = list(split(models))
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
        data = snapshot_format.encode(HEAD, head, state)
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
