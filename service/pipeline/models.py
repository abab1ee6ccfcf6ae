"""A sensor's model as checkpoints hold it, and the hash keys that say which shard it belongs to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple, Protocol

from service.pipeline.records import ALL_HASH_KEYS, HashKeys


class Model(NamedTuple):
    """A sensor's detector, and the first and last hash key of the records that its readings came in."""

    state: bytes
    first_key: int = ALL_HASH_KEYS[0]
    last_key: int = ALL_HASH_KEYS[1]


class ModelStore(Protocol):
    """Where a shard's models lie that have no room in memory, for as long as the shard is read here.

    It is a part of memory: it need not survive, for checkpoints hold all models. Errors end the shard's pipeline.
    """

    def put(self, sensor: str, model: Model) -> None:
        """Keep a model, in place of the sensor's last one."""
        ...

    def get(self, sensor: str) -> Model | None:
        """A model; None if the sensor has none here, which is most often asked of sensors never seen."""
        ...

    def remove(self, sensor: str) -> None:
        """Forget a model."""
        ...

    def clear(self) -> None:
        """Forget all models."""
        ...

    def __len__(self) -> int:
        """How many there are."""
        ...


class ModelMap(dict[str, Model]):
    """A ``ModelStore`` in memory."""

    def put(self, sensor: str, model: Model) -> None:
        """Keep a model."""
        self[sensor] = model

    def remove(self, sensor: str) -> None:
        """Forget a model."""
        self.pop(sensor, None)


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

    def remember(self, sensor: str, keys: HashKeys) -> None:
        """A sensor that was forgotten had these so far."""
        known = self._ranges.get(sensor, keys)
        self._ranges[sensor] = min(known[0], keys[0]), max(known[1], keys[1])

    def forget(self, sensor: str) -> None:
        """Give back a sensor's memory."""
        self._ranges.pop(sensor, None)
        self._latest.pop(sensor, None)

    def of(self, sensor: str) -> HashKeys:
        """The first and the last."""
        return self._ranges.get(sensor, self._shard)

    def _widen(self, sensor: str, key: int) -> None:
        first, last = (key, key) if self._shard[0] <= key <= self._shard[1] else self._shard
        known = self._ranges.get(sensor, (first, last))
        self._ranges[sensor] = min(known[0], first), max(known[1], last)


class Shelf:
    """What a fleet puts aside, as models with their hash keys in a ``ModelStore``."""

    def __init__(self, store: ModelStore, key_ranges: SensorKeyRanges) -> None:
        """``key_ranges`` of the sensors in memory; those of the others lie with their models."""
        self._store, self.key_ranges = store, key_ranges

    def put(self, sensor: str, model: bytes) -> None:
        """Keep a model, and its hash keys with it."""
        if before := self._store.get(sensor):  # what memory knows of its keys by now is of readings still to come
            self._store.put(sensor, before._replace(state=model))
        else:
            self._store.put(sensor, Model(model, *self.key_ranges.of(sensor)))
            self.key_ranges.forget(sensor)

    def get(self, sensor: str) -> bytes | None:
        """A model, or None."""
        model = self._store.get(sensor)
        return model.state if model else None

    def take(self, sensor: str) -> bytes | None:
        """A model that no longer lies here; its hash keys are in memory, too."""
        model = self._store.get(sensor)
        if model is None:
            return None
        self._store.remove(sensor)
        self.key_ranges.remember(sensor, (model.first_key, model.last_key))
        return model.state

    def keys_of(self, sensor: str) -> HashKeys:
        """A sensor's hash keys, wherever they are."""
        model = self._store.get(sensor)
        return (model.first_key, model.last_key) if model else self.key_ranges.of(sensor)

    def clear(self) -> None:
        """Forget all models."""
        self._store.clear()

    def __len__(self) -> int:
        return len(self._store)
