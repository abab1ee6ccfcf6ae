"""Records of one shard, made of what Kinesis says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.metrics import Metrics
from service.pipeline.records import Gap, HashKeys, PlainRecords, Position, Record, data_of, of_other_shards
from service.source.aggregates import MAGIC, user_records

BATCH_BYTES = 10 * 1024 * 1024
"""The most that one answer of Kinesis holds, and that one batch takes in memory."""
RECORD_MEMORY = 500  # bytes that a record takes besides its data, scored and all


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Records of a shard, all that one read returned or a part of it.

    Attributes:
        records: in the shard's order.
        size: what they take in memory, in bytes, at most BATCH_BYTES.
        behind: how far they are behind the shard's newest record, in milliseconds.
        ended: whether the shard is closed and read to its end.
        gap: what may be missing before them.
    """

    records: Sequence[Record]
    size: int
    behind: int
    ended: bool
    gap: Gap | None = None

    def cut(self, count: int) -> tuple[RecordBatch, RecordBatch | None]:
        """The first ``count`` records, and the others if there are any; these have the size of all."""
        if count >= len(self.records):
            return self, None
        first = RecordBatch(self.records[:count], 0, self.behind, ended=False, gap=self.gap)
        return first, RecordBatch(self.records[count:], self.size, self.behind, ended=self.ended)


class ShardReader:
    """Makes records of what Kinesis says of one shard, and knows how far they have come."""

    def __init__(self, shard: str, hash_keys: HashKeys, metrics: Metrics) -> None:
        self.shard = shard
        self.after: Position | None = None  # of the last record fetched
        self.resumed: Position | None = None  # where reading was to go on, until a record shows that it could
        self._hash_keys = hash_keys
        self._metrics = metrics

    async def batches(self, answer: Mapping[str, Any], *, ended: bool) -> AsyncGenerator[RecordBatch]:
        """An answer to GetRecords, or an event of a subscription; ``ended`` if nothing can follow it.

        One batch, but more if aggregates hold more than BATCH_BYTES: they are unpacked as batches are asked for.
        """
        raw, behind = answer["Records"], answer.get("MillisBehindLatest") or 0
        gap = self._gap(raw[0] if raw else None, ended=ended)
        parts = _parts(raw, self.after, self._hash_keys)
        part = await asyncio.to_thread(next, parts, None) if raw else None
        if raw and not part:  # all of it lies before the position
            self._move(Position(int(raw[-1]["SequenceNumber"])))
        while part:
            following = await asyncio.to_thread(next, parts, None)
            records, size = part
            self._move(records[-1].position)
            self._metrics.records.inc(len(records))
            self._metrics.bytes.inc(sum(map(len, data_of(records))))
            self._metrics.other_shard_records.inc(len(of_other_shards(records)))
            left = max(behind, 1) if following else behind
            yield RecordBatch(records, size, left, ended=ended and not following, gap=gap)
            part, gap = following, None
            if not part:
                return
        yield RecordBatch([], 0, behind, ended=ended, gap=gap)

    def _move(self, position: Position) -> None:
        self.after = max(position, self.after) if self.after else position

    def gone(self) -> RecordBatch:
        """What there is to say when the shard itself has left the stream."""
        return RecordBatch([], 0, 0, ended=True, gap=Gap(self.after) if self.after else None)

    def _gap(self, first: dict[str, Any] | None, *, ended: bool) -> Gap | None:
        """Whether the first record since the iterator was made is a later one than the iterator was made for."""
        resumed = self.resumed
        if resumed is None or (first is None and not ended):
            return None
        self.resumed = None
        if first is None:
            return Gap(resumed)
        sequence = int(first["SequenceNumber"])
        return Gap(resumed, Position(sequence), _milliseconds(first)) if sequence > resumed.sequence else None


def _parts(
    raw: Sequence[dict[str, Any]], after: Position | None, hash_keys: HashKeys
) -> Iterator[tuple[Sequence[Record], int]]:
    """What follows a position, aggregates taken apart, in parts of at most BATCH_BYTES; and the parts' sizes."""
    if (plain := _plain(raw, after)) is not None:
        yield from _plain_parts(plain)
        return
    found, size = list[Record](), 0
    for one in raw:
        record = Record(Position(int(one["SequenceNumber"])), one["PartitionKey"], _milliseconds(one), one["Data"])
        for user in user_records(record, hash_keys):
            if after is not None and user.position <= after:
                continue
            memory = len(user.data) + RECORD_MEMORY
            if found and size + memory > BATCH_BYTES:
                yield found, size
                found, size = [], 0
            found.append(user)
            size += min(memory, BATCH_BYTES)
    if found:
        yield found, size


def _plain(raw: Sequence[dict[str, Any]], after: Position | None) -> PlainRecords | None:
    """The records as they are, if all lie after the position and none may be an aggregate; else None."""
    sequences = [one["SequenceNumber"] for one in raw]
    data = [one["Data"] for one in raw]
    digits = "".join(sequences)
    if not (digits.isascii() and digits.isdigit()) or len(set(map(len, sequences))) > 1:
        return None  # such numbers are not in order as their texts are
    if sequences != sorted(sequences) or (after is not None and int(sequences[0]) <= after.sequence):
        return None
    if any(each.startswith(MAGIC) for each in data):
        return None
    milliseconds = 1000 * np.array([float(one.get("ApproximateArrivalTimestamp", 0)) for one in raw])
    if not (np.abs(milliseconds) < 2**53).all():
        return None
    arrivals = np.rint(milliseconds).astype(np.int64)
    return PlainRecords(sequences, [one["PartitionKey"] for one in raw], arrivals, data)


def _plain_parts(records: PlainRecords) -> Iterator[tuple[Sequence[Record], int]]:
    memory = np.minimum(np.fromiter(map(len, records.data), np.int64) + RECORD_MEMORY, BATCH_BYTES)
    start = 0
    while start < len(records):
        size = np.cumsum(memory[start:])
        count = max(int(np.searchsorted(size, BATCH_BYTES, side="right")), 1)
        part = records if count == len(records) else records[start : start + count]
        yield part, int(size[count - 1])
        start += count


def _milliseconds(raw: dict[str, Any]) -> int:
    """When a record arrived."""
    return round(1000 * float(raw.get("ApproximateArrivalTimestamp", 0)))
