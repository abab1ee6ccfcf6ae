"""Writing: one record, or many of which each has its own result."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from simulator.stream.account import Account, Request
from simulator.stream.errors import KinesisError, invalid
from simulator.stream.responses import Answer
from simulator.stream.shards import HASH_KEYS, Shard, Stream, data_size

REQUEST_BYTES = 10 * 1024 * 1024  # of data and keys in one PutRecords


def put_record(account: Account, request: Request) -> Answer:
    """PutRecord."""
    stream = account.readable("PutRecord", request)
    _require_sizes(stream, [request])
    shard = _target(stream, request)
    _require_ordering(stream, request)
    account.inject_on_shard("PutRecord", stream, shard)
    sequence = shard.append(account.now, request["PartitionKey"], request["Data"])
    account.make_room()
    return {"ShardId": shard.id, "SequenceNumber": sequence}


def put_records(account: Account, request: Request) -> Answer:
    """PutRecords."""
    stream = account.readable("PutRecords", request)
    entries = request["Records"]
    account.inject("PutRecords", f"stream {stream.name}", kinds=("fail",))
    _require_sizes(stream, entries)
    faulty = bool(account.faults.active)
    results: list[Answer] = []
    failed = 0
    for entry, shard in [(entry, _target(stream, entry)) for entry in entries]:
        try:
            if faulty:
                account.inject_on_shard("PutRecords", stream, shard, ("throttle",))
        except KinesisError as error:
            failed += 1
            results.append({"ErrorCode": error.type, "ErrorMessage": error.message})
        else:
            sequence = shard.append(account.now, entry["PartitionKey"], entry["Data"])
            results.append({"SequenceNumber": sequence, "ShardId": shard.id})
    account.make_room()
    return {"FailedRecordCount": failed, "Records": results}


def _target(stream: Stream, entry: Request) -> Shard:
    explicit = entry.get("ExplicitHashKey")
    if explicit is None:
        return stream.route(_hash_key(entry["PartitionKey"]))
    hash_key = int(explicit)
    if hash_key >= HASH_KEYS:
        raise invalid(
            "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was "
            f"{explicit}"
        )
    return stream.route(hash_key)


@lru_cache(maxsize=65_536)
def _hash_key(partition_key: str) -> int:
    digest = hashlib.md5(partition_key.encode(errors="surrogatepass"), usedforsecurity=False).digest()
    return int.from_bytes(digest, "big")


def _require_sizes(stream: Stream, entries: list[Request]) -> None:
    total = 0
    for number, entry in enumerate(entries, start=1):
        size = data_size(entry["Data"]) + len(entry["PartitionKey"].encode(errors="surrogatepass"))
        if size > stream.max_record_bytes:
            raise KinesisError(
                "ValidationException",
                f"1 validation error detected: Value at 'records.{number}.member.data' failed to satisfy "
                f"constraint: Member must have length less than or equal to {stream.max_record_bytes}",
            )
        total += size
    if total > REQUEST_BYTES:
        raise invalid(f"Records size exceeds {REQUEST_BYTES // 1024**2} MB limit")


def _require_ordering(stream: Stream, request: Request) -> None:
    """Sequence numbers grow in any case; the number must but come from this stream."""
    before = request.get("SequenceNumberForOrdering")
    if before is not None and not any(_is_of(shard, int(before)) for shard in stream.shards.values()):
        raise invalid(
            f"ExclusiveMinimumSequenceNumber {before} used in PutRecord on stream {stream.name} under account "
            f"{stream.account} is invalid."
        )


def _is_of(shard: Shard, sequence: int) -> bool:
    try:
        shard.after_sequence(sequence)
    except ValueError:
        return False
    return True
