"""Streams, shards and records in memory, as Kinesis keeps them; no HTTP, and the clock is handed in.

Where it differs from AWS: streams are ACTIVE and resharding is done at once; there are no tags, encryption, consumers
or on-demand mode; throttling comes only from the knobs.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

MAX_HASH = 2**128 - 1
READ_BYTES = 10 * 1024 * 1024
MAX_READ_RECORDS = 10_000
RECORD_BYTES = 1024 * 1024
MAX_KEY_LENGTH = 256
ITERATOR_SECONDS = 300
_FIRST_SEQUENCE = 49_640_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000


class KinesisError(Exception):
    """An answer other than success: AWS's error type and message."""

    def __init__(self, kind: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.kind, self.message, self.status = kind, message, status


def invalid(message: str) -> KinesisError:
    """InvalidArgumentException."""
    return KinesisError("InvalidArgumentException", message)


@dataclass(slots=True)
class Stored:
    """A record in a shard; data as base64, as it came and as it will go. ``arrival`` in seconds."""

    sequence: int
    arrival: float
    size: int
    data: str
    key: str


@dataclass(slots=True)
class Shard:
    """A hash-key range and its records, oldest first."""

    number: int
    start: int
    end: int
    created: float
    first: int
    parents: tuple[str, ...] = ()
    last: int | None = None  # the closing sequence number
    closed: float | None = None
    records: list[Stored] = field(default_factory=list)

    @property
    def id(self) -> str:
        """As in shardId-000000000000."""
        return f"shardId-{self.number:012d}"

    def index_after(self, sequence: int) -> int:
        """Index of the first record beyond a sequence number."""
        return bisect.bisect_right(self.records, sequence, key=lambda record: record.sequence)

    def index_at(self, time: float) -> int:
        """Index of the first record that arrived at or after ``time``."""
        return bisect.bisect_left(self.records, time, key=lambda record: record.arrival)


class Stream:
    """One stream: its shards, and the routing of records to them."""

    def __init__(self, name: str, arn: str, shards: int, clock: Callable[[], float]) -> None:
        self.name, self.arn = name, arn
        self.retention_hours = 24
        self.created = clock()
        self.shards: list[Shard] = []
        self._clock = clock
        self._sequence = itertools.count(_FIRST_SEQUENCE, 2**8)
        self._numbers = itertools.count()
        self._next_trim = 0.0
        for i in range(shards):
            self._open(MAX_HASH * i // shards + (i > 0), MAX_HASH * (i + 1) // shards)

    # Records

    def put(self, key: str, data: str, size: int, explicit_hash: int | None = None) -> tuple[Shard, int]:
        """Append a record; its shard and sequence number."""
        hashed = explicit_hash if explicit_hash is not None else _hash(key)
        shard = next(shard for shard in self.open_shards() if shard.start <= hashed <= shard.end)
        sequence = next(self._sequence)
        now = self._clock()
        shard.records.append(Stored(sequence, now, size, data, key))
        if now >= self._next_trim:
            self.trim(now)
        return shard, sequence

    def read(self, shard: Shard, after: int, limit: int) -> tuple[list[Stored], int, bool, float]:
        """Records after a sequence number: (records, last sequence number read, at the end, seconds behind)."""
        start = shard.index_after(after)
        found: list[Stored] = []
        size = 0
        for record in itertools.islice(shard.records, start, start + limit):
            size += record.size
            if found and size > READ_BYTES:
                break
            found.append(record)
        stop = start + len(found)
        behind = self._clock() - shard.records[stop].arrival if stop < len(shard.records) else 0.0
        ended = shard.last is not None and stop >= len(shard.records)
        return found, found[-1].sequence if found else after, ended, max(behind, 0.0)

    def trim(self, now: float) -> None:
        """Drop what is older than the retention, and closed shards that have nothing left."""
        horizon = now - self.retention_hours * 3600
        for shard in self.shards:
            del shard.records[: shard.index_at(horizon)]
        self.shards = [shard for shard in self.shards if shard.closed is None or shard.closed >= horizon]
        self._next_trim = now + 1

    # Shards

    def shard(self, shard_id: str) -> Shard:
        """The shard of that id. Raises ResourceNotFoundException."""
        for shard in self.shards:
            if shard.id == shard_id:
                return shard
        raise KinesisError(
            "ResourceNotFoundException",
            f"Shard {shard_id} in stream {self.name} under account 000000000000 does not exist",
        )

    def open_shards(self) -> Iterator[Shard]:
        """Those that take records."""
        return (shard for shard in self.shards if shard.last is None)

    def children(self, shard_id: str) -> list[Shard]:
        """The shards that continue one."""
        return [shard for shard in self.shards if shard_id in shard.parents]

    def split(self, shard_id: str, at: int) -> None:
        """Two shards out of one; ``at`` is the upper one's first hash key."""
        shard = self._open_shard(shard_id)
        if not shard.start < at <= shard.end:
            raise invalid(
                f"NewStartingHashKey {at} used in SplitShard() on shard {shard_id} in stream {self.name} under account "
                f"000000000000 is not both greater than one plus the shard's StartingHashKey {shard.start} and less "
                f"than the shard's EndingHashKey {shard.end}."
            )
        self._close(shard)
        self._open(shard.start, at - 1, shard.id)
        self._open(at, shard.end, shard.id)

    def merge(self, shard_id: str, adjacent_id: str) -> None:
        """One shard out of two neighbours."""
        one, other = self._open_shard(shard_id), self._open_shard(adjacent_id)
        low, high = sorted((one, other), key=lambda shard: shard.start)
        if low.end + 1 != high.start:
            raise invalid(
                f"Shards {shard_id} and {adjacent_id} in stream {self.name} under account 000000000000 are not an "
                "adjacent pair of shards eligible for merging"
            )
        self._close(one)
        self._close(other)
        self._open(low.start, high.end, shard_id, adjacent_id)

    def resize(self, target: int) -> None:
        """Uniformly ``target`` shards, by splits and merges as UpdateShardCount makes them."""
        bounds = {MAX_HASH * i // target + 1 for i in range(1, target)}
        for bound in sorted(bounds):
            shard = next(shard for shard in self.open_shards() if shard.start <= bound <= shard.end)
            if shard.start != bound:
                self.split(shard.id, bound)
        while True:
            ranges = sorted(self.open_shards(), key=lambda shard: shard.start)
            pair = next((pair for pair in itertools.pairwise(ranges) if pair[1].start not in bounds), None)
            if pair is None:
                return
            self.merge(pair[0].id, pair[1].id)

    def _open_shard(self, shard_id: str) -> Shard:
        shard = self.shard(shard_id)
        if shard.last is not None:
            raise KinesisError(
                "ResourceInUseException",
                f"Shard {shard_id} in stream {self.name} under account 000000000000 is not in the OPEN state",
            )
        return shard

    def _close(self, shard: Shard) -> None:
        shard.last, shard.closed = next(self._sequence), self._clock()

    def _open(self, start: int, end: int, *parents: str) -> None:
        self.shards.append(Shard(next(self._numbers), start, end, self._clock(), next(self._sequence), parents))


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.md5(key.encode(), usedforsecurity=False).digest(), "big")
