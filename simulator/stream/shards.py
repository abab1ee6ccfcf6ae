"""Streams and shards: what is stored, where a record goes, how shards split and merge. No clock, no I/O.

All times are milliseconds since 1970.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import pairwise

from simulator.stream.consumers import Consumers
from simulator.stream.errors import invalid, not_found

HASH_KEYS = 2**128  # hash keys run from 0 to one less
RECORD_OVERHEAD = 250  # bytes that a record takes in memory besides its data and key, roughly

# A sequence number, highest bits first: 1, the stream's creation, the shard's number, the record's number from 1,
# zeros. So it has AWS's 56 digits, grows within a shard and from parent to child, and tells where it came from.
_ONE, _CREATED, _SHARD, _RECORD = 185, 136, 104, 40

Stored = tuple[int, str, str]  # arrival, partition key, data in base64; a plain tuple, which the GC needn't track


class Shard:
    """A shard's records, oldest first. Record n is the n-th ever put, from 0; old ones are dropped."""

    def __init__(
        self, number: int, created: int, now: int, hash_keys: tuple[int, int], parents: tuple[str, ...]
    ) -> None:
        self.id = f"shardId-{number:012d}"
        self.number = number
        self.hash_keys = hash_keys  # first and last
        self.parents = parents
        self.children: list[Shard] = []
        self.opened = now
        self.closed: int | None = None
        self.size = 0  # bytes in memory
        self.first = 0  # the oldest record that is kept
        self._records: list[Stored] = []
        self._base = 1 << _ONE | created << _CREATED | number << _SHARD

    @property
    def end(self) -> int:
        """The number that the next record will have."""
        return self.first + len(self._records)

    @property
    def starting_sequence(self) -> str:
        """Below that of all records."""
        return str(self._base)

    @property
    def ending_sequence(self) -> str:
        """Above that of all records so far."""
        return str(self._base + (self.end + 1 << _RECORD))

    def sequence_before(self, number: int) -> str:
        """The sequence number of the record before this one; the first has the shard's starting one before it."""
        return str(self._base + (number << _RECORD))

    def append(self, now: int, key: str, data: str) -> str:
        """Store a record that arrived no earlier than those before; its sequence number."""
        self._records.append((now, key, data))
        self.size += len(key) + len(data) + RECORD_OVERHEAD
        return str(self._base + (self.end << _RECORD))

    def read(self, start: int, most: int, most_bytes: int, until: int) -> tuple[list[tuple[str, Stored]], int]:
        """Records from number ``start`` on with their sequence numbers, and the number to go on with.

        At most ``most`` records and ``most_bytes`` of data (but one record at least), none that arrived after
        ``until``.
        """
        start = max(start, self.first)
        found: list[tuple[str, Stored]] = []
        sequence = self._base + (start << _RECORD)
        for record in self._records[start - self.first : start - self.first + most]:
            most_bytes -= data_size(record[2])
            if record[0] > until or (most_bytes < 0 and found):
                break
            sequence += 1 << _RECORD
            found.append((str(sequence), record))
        return found, start + len(found)

    def arrival(self, number: int) -> int | None:
        """When a record arrived; None if it has not yet. A dropped one counts as the oldest that is kept."""
        number = max(number, self.first)
        return self._records[number - self.first][0] if number < self.end else None

    def at_time(self, time: int) -> int:
        """The number of the first record that arrived then or later."""
        return self.first + bisect_left(self._records, time, key=lambda record: record[0])

    def at_sequence(self, sequence: int) -> int:
        """The number of the record with this sequence number, or of the next one."""
        return self._clamp(-(-self._offset(sequence) >> _RECORD) - 1)

    def after_sequence(self, sequence: int) -> int:
        """The number of the first record after this sequence number."""
        return self._clamp(self._offset(sequence) >> _RECORD)

    def drop(self, count: int) -> int:
        """Forget the oldest records; the bytes freed."""
        freed = sum(len(key) + len(data) + RECORD_OVERHEAD for _, key, data in self._records[:count])
        del self._records[:count]
        self.first += count
        self.size -= freed
        return freed

    def _offset(self, sequence: int) -> int:
        """Raises ValueError if the sequence number is not of this shard."""
        offset = sequence - self._base
        if not 0 <= offset < 1 << _SHARD:
            raise ValueError(sequence)
        return offset

    def _clamp(self, number: int) -> int:
        return min(max(number, self.first), self.end)


class Stream:
    """A stream: its shards, which of them is responsible for a hash key, and its consumers."""

    def __init__(self, name: str, arn: str, now: int, shards: int, *, on_demand: bool, max_record_bytes: int) -> None:
        self.name = name
        self.arn = arn
        self.created = now
        self.on_demand = on_demand
        self.max_record_bytes = max_record_bytes
        self.retention_hours = 24
        self.tags: dict[str, str] = {}
        self.metrics: list[str] = []  # of enhanced monitoring
        self.key: str | None = None  # that records are said to be encrypted with
        self.state = "CREATING"  # until ``busy_until``
        self.busy_until = now
        self.shards: dict[str, Shard] = {}
        self.consumers = Consumers(name, arn)
        self._count = 0
        self._open: list[Shard] = []  # by hash keys
        self._starts: list[int] = []
        for number in range(shards):
            first, last = HASH_KEYS * number // shards, HASH_KEYS * (number + 1) // shards - 1
            self._add(now, (first, last), ())

    @property
    def open_shards(self) -> list[Shard]:
        """In the order of their hash keys."""
        return self._open

    def status(self, now: int) -> str:
        """CREATING, ACTIVE, UPDATING or DELETING."""
        return self.state if now < self.busy_until else "ACTIVE"

    def shard(self, id_: str) -> Shard:
        """Raises KinesisError if there is none."""
        try:
            return self.shards[id_]
        except KeyError:
            raise not_found(f"Could not find shard {id_} in stream {self.name} under account {self.account}.") from None

    @property
    def account(self) -> str:
        """The account's number."""
        return self.arn.split(":")[4]

    def route(self, hash_key: int) -> Shard:
        """The open shard that is responsible for a hash key."""
        return self._open[bisect_right(self._starts, hash_key) - 1]

    def split(self, shard: Shard, at: int, now: int) -> None:
        """Close a shard; two children take over, the second one from hash key ``at`` on. Raises KinesisError."""
        self._require_open(shard)
        first, last = shard.hash_keys
        if not first + 1 < at < last:
            raise invalid(
                f"NewStartingHashKey {at} used in SplitShard() on shard {shard.id} in stream {self.name} under account "
                f"{self.account} is not both greater than one plus the shard's StartingHashKey {first} and less than "
                f"the shard's EndingHashKey {last}."
            )
        self._replace((shard,), ((first, at - 1), (at, last)), now)

    def merge(self, shard: Shard, neighbour: Shard, now: int) -> None:
        """Close two shards; one child takes over. Raises KinesisError unless their hash keys are adjacent."""
        self._require_open(shard)
        self._require_open(neighbour)
        low, high = sorted((shard, neighbour), key=lambda parent: parent.hash_keys)
        if low.hash_keys[1] + 1 != high.hash_keys[0]:
            raise invalid(
                f"Shards {shard.id} and {neighbour.id} in stream {self.name} under account {self.account} are not an "
                "adjacent pair of shards eligible for merging"
            )
        self._replace((shard, neighbour), ((low.hash_keys[0], high.hash_keys[1]),), now)

    def scale(self, target: int, now: int) -> None:
        """Split and merge until ``target`` shards of equal size are open; some shards live but a moment."""
        bounds = [HASH_KEYS * number // target for number in range(target + 1)]
        for bound in bounds[1:-1]:
            shard = self.route(bound)
            if shard.hash_keys[0] != bound:
                self._replace((shard,), ((shard.hash_keys[0], bound - 1), (bound, shard.hash_keys[1])), now)
        for first, last in pairwise(bounds):
            while (shard := self.route(first)).hash_keys[1] + 1 < last:
                neighbour = self.route(shard.hash_keys[1] + 1)
                self._replace((shard, neighbour), ((first, neighbour.hash_keys[1]),), now)

    def expire(self, now: int) -> int:
        """Forget records, and closed shards, older than the retention period; the bytes freed."""
        horizon = now - self.retention_hours * 3_600_000
        freed = 0
        for shard in list(self.shards.values()):
            freed += shard.drop(shard.at_time(horizon) - shard.first)
            if shard.closed is not None and shard.closed < horizon:
                freed += shard.size
                del self.shards[shard.id]
        return freed

    def _require_open(self, shard: Shard) -> None:
        if shard.closed is not None:
            raise invalid(
                f"Shard {shard.id} in stream {self.name} under account {self.account} has already been merged or "
                "split, and thus is not eligible for merging or splitting."
            )

    def _replace(self, parents: tuple[Shard, ...], hash_keys: tuple[tuple[int, int], ...], now: int) -> None:
        ids = tuple(parent.id for parent in parents)
        for parent in parents:
            parent.closed = now
            self._open.remove(parent)
        children = [self._add(now, keys, ids) for keys in hash_keys]
        for parent in parents:
            parent.children = children

    def _add(self, now: int, hash_keys: tuple[int, int], parents: tuple[str, ...]) -> Shard:
        shard = Shard(self._count, self.created, now, hash_keys, parents)
        self._count += 1
        self.shards[shard.id] = shard
        self._open.append(shard)
        self._open.sort(key=lambda other: other.hash_keys)
        self._starts = [other.hash_keys[0] for other in self._open]
        return shard


def data_size(data: str) -> int:
    """Bytes that a text in base64 stands for."""
    return len(data) // 4 * 3 - data.count("=", -2)


def oldest_first(shards: list[Shard]) -> Iterator[Shard]:
    """Shards that hold records, that with the oldest one first."""
    return iter(sorted((shard for shard in shards if shard.end > shard.first), key=lambda shard: shard.arrival(0) or 0))
