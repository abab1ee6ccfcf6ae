"""A sensor's model as checkpoints hold it, and the hash keys that say which shard it belongs to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from service.pipeline.records import ALL_HASH_KEYS, HashKeys


class Model(NamedTuple):
    """A sensor's detector, and the first and last hash key of the records that its readings came in."""

    state: bytes
    first_key: int = ALL_HASH_KEYS[0]
    last_key: int = ALL_HASH_KEYS[1]


@lru_cache(maxsize=65_536)
def hash_key(partition_key: str) -> int:
    """Where a partition key lies among the shards' hash keys: its MD5."""
    digest = hashlib.md5(partition_key.encode(errors="surrogatepass"), usedforsecurity=False).digest()
    return int.from_bytes(digest, "big")


class SensorKeyRanges:
    """The hash keys that each sensor's readings come with, which say whose they are after a split or merge.

    Kept are the first and the last of a sensor: a sensor has one partition key, if all is well. A record whose
    partition key does not hash into the shard was put with an explicit hash key, which is not delivered with it; its
    sensor may then belong anywhere in the shard.
    """

    def __init__(self, shard: HashKeys) -> None:
        self._shard = shard
        self._ranges: dict[str, HashKeys] = {}
        self._latest: dict[str, str] = {}  # partition key

    def restore(self, models: Mapping[str, Model]) -> None:
        """Go on from a checkpoint."""
        self._ranges = {sensor: (model.first_key, model.last_key) for sensor, model in models.items()}
        self._latest = {}

    def note(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Readings: their sensors and their records' partition keys."""
        latest = self._latest
        for sensor, partition_key in pairs:
            if latest.get(sensor) != partition_key:
                latest[sensor] = partition_key
                self._widen(sensor, hash_key(partition_key))

    def of(self, sensor: str) -> HashKeys:
        """The first and the last."""
        return self._ranges.get(sensor, self._shard)

    def _widen(self, sensor: str, key: int) -> None:
        first, last = (key, key) if self._shard[0] <= key <= self._shard[1] else self._shard
        known = self._ranges.get(sensor, (first, last))
        self._ranges[sensor] = min(known[0], first), max(known[1], last)
