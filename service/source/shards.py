"""The shards of a stream, and the hash keys that they cover."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.pipeline.records import ALL_HASH_KEYS, HashKeys


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard as ListShards tells of it. ``hash_keys`` are its first and last."""

    id: str
    parents: tuple[str, ...] = ()
    hash_keys: HashKeys = ALL_HASH_KEYS


def hash_range_gaps(shards: Sequence[Shard]) -> list[HashKeys]:
    """The ranges of hash keys that no shard covers which is not a parent of another one in the list."""
    parents = {parent for shard in shards for parent in shard.parents}
    found: list[HashKeys] = []
    expected = ALL_HASH_KEYS[0]
    for first, last in sorted(shard.hash_keys for shard in shards if shard.id not in parents):
        if first > expected:
            found.append((expected, first - 1))
        expected = max(expected, last + 1)
    return [*found, (expected, ALL_HASH_KEYS[1])] if expected <= ALL_HASH_KEYS[1] else found
