"""A sensor's model as checkpoints hold it, with its labels and the hash keys that say which shard it belongs to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

from service.pipeline.records import ALL_HASH_KEYS, HashKeys

Labels = Mapping[str, str]
NO_LABELS: Labels = {}
LONGEST_LABEL = 1024  # characters that are remembered


class Model(NamedTuple):
    """A sensor's detector, the first and last hash key of the records that its readings came in, and the labels of its
    last reading.
    """

    state: bytes
    first_key: int = ALL_HASH_KEYS[0]
    last_key: int = ALL_HASH_KEYS[1]
    labels: Labels = NO_LABELS


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

    def __contains__(self, sensor: str) -> bool:
        """Whether it is remembered."""
        return sensor in self._ranges

    def of(self, sensor: str) -> HashKeys:
        """The first and the last."""
        return self._ranges.get(sensor, self._shard)

    def _widen(self, sensor: str, key: int) -> None:
        first, last = (key, key) if self._shard[0] <= key <= self._shard[1] else self._shard
        known = self._ranges.get(sensor, (first, last))
        self._ranges[sensor] = min(known[0], first), max(known[1], last)


class Shelf:
    """What a fleet puts aside, as models with their hash keys and labels in a ``ModelStore``.

    Hash keys and labels of the sensors in memory are kept here; those of the others lie with their models.
    """

    def __init__(self, store: ModelStore, key_ranges: SensorKeyRanges) -> None:
        self._store, self.key_ranges = store, key_ranges
        self._labels: dict[str, Labels] = {}

    def restore(self, models: Mapping[str, Model], labels: Sequence[str]) -> None:
        """Go on from a checkpoint, with all sensors in memory; ``labels``: the names of those still asked for."""
        self.key_ranges.restore(models)
        self._labels = {
            sensor: {name: model.labels[name] for name in labels if name in model.labels}
            for sensor, model in models.items()
            if labels and model.labels
        }

    def put(self, sensor: str, model: bytes) -> None:
        """Keep a model, and its hash keys with it."""
        if before := self._store.get(sensor):  # what memory knows of its keys by now is of readings still to come
            self._store.put(sensor, before._replace(state=model))
        else:
            self._store.put(sensor, Model(model, *self.key_ranges.of(sensor), self._labels.pop(sensor, NO_LABELS)))
            self.key_ranges.forget(sensor)

    def get(self, sensor: str) -> bytes | None:
        """A model, or None."""
        model = self._store.get(sensor)
        return model.state if model else None

    def take(self, sensor: str) -> bytes | None:
        """A model that no longer lies here; its hash keys and labels are in memory, too."""
        model = self._store.get(sensor)
        if model is None:
            return None
        self._store.remove(sensor)
        self.key_ranges.remember(sensor, (model.first_key, model.last_key))
        if model.labels:
            self._labels[sensor] = model.labels
        return model.state

    def complete(self, sensor: str, state: bytes) -> Model:
        """A sensor's detector with its hash keys and labels, wherever they are."""
        if model := self._store.get(sensor):
            return model._replace(state=state)
        return Model(state, *self.key_ranges.of(sensor), self._labels.get(sensor, NO_LABELS))

    def labels_of(self, sensor: str) -> Labels:
        """A sensor's labels, wherever they are; empty if it has none."""
        if sensor in self.key_ranges:
            return self._labels.get(sensor, NO_LABELS)
        model = self._store.get(sensor)
        return model.labels if model else NO_LABELS

    def note_labels(self, latest: Mapping[str, Labels]) -> None:
        """The labels of the last reading of each sensor that the fleet has just processed."""
        for sensor, labels in latest.items():
            if sensor in self.key_ranges:
                self._labels[sensor] = labels
            elif model := self._store.get(sensor):
                self._store.put(sensor, model._replace(labels=labels))

    def clear(self) -> None:
        """Forget all models."""
        self._store.clear()

    def __len__(self) -> int:
        return len(self._store)


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
