"""How streams, shards, records and consumers look in answers."""

from __future__ import annotations

from typing import Any

from simulator.stream.consumers import Consumer
from simulator.stream.shards import Shard, Stored, Stream

Answer = dict[str, Any]


def described(stream: Stream, status: str) -> Answer:
    """What DescribeStream and DescribeStreamSummary both tell."""
    return listed(stream, status) | {
        "RetentionPeriodHours": stream.retention_hours,
        "EnhancedMonitoring": [{"ShardLevelMetrics": stream.metrics}],
        **({"EncryptionType": "KMS", "KeyId": stream.key} if stream.key else {"EncryptionType": "NONE"}),
    }


def listed(stream: Stream, status: str) -> Answer:
    """What ListStreams tells."""
    return {
        "StreamName": stream.name,
        "StreamARN": stream.arn,
        "StreamStatus": status,
        "StreamModeDetails": {"StreamMode": "ON_DEMAND" if stream.on_demand else "PROVISIONED"},
        "StreamCreationTimestamp": stream.created / 1000,
    }


def shard(shard: Shard) -> Answer:
    """A shard."""
    sequences = {"StartingSequenceNumber": shard.starting_sequence}
    if shard.closed is not None:
        sequences["EndingSequenceNumber"] = shard.ending_sequence
    parents = dict(zip(("ParentShardId", "AdjacentParentShardId"), shard.parents, strict=False))
    return {
        "ShardId": shard.id,
        **parents,
        "HashKeyRange": _hash_keys(shard),
        "SequenceNumberRange": sequences,
    }


def records(shard: Shard, found: list[tuple[str, Stored]], following: int, now: int) -> Answer:
    """What was read, and how far that is from the tip of the shard, or what comes after its end."""
    unread = shard.arrival(following)
    answer: Answer = {
        "Records": [
            {
                "SequenceNumber": sequence,
                "ApproximateArrivalTimestamp": arrival / 1000,
                "Data": data,
                "PartitionKey": key,
            }
            for sequence, (arrival, key, data) in found
        ],
        "MillisBehindLatest": 0 if unread is None else max(now - unread, 1),
    }
    if shard.closed is not None and unread is None:
        answer["ChildShards"] = [
            {"ShardId": child.id, "ParentShards": list(child.parents), "HashKeyRange": _hash_keys(child)}
            for child in shard.children
        ]
    return answer


def consumer(consumer: Consumer, now: int) -> Answer:
    """A consumer."""
    return {
        "ConsumerName": consumer.name,
        "ConsumerARN": consumer.arn,
        "ConsumerStatus": consumer.status(now),
        "ConsumerCreationTimestamp": consumer.created / 1000,
    }


def _hash_keys(shard: Shard) -> Answer:
    first, last = shard.hash_keys
    return {"StartingHashKey": str(first), "EndingHashKey": str(last)}
