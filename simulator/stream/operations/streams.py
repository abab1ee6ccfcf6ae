"""Streams: create, delete, list, describe, how long their records are kept."""

from __future__ import annotations

from simulator.stream import responses
from simulator.stream.account import Account, Request
from simulator.stream.errors import in_use, invalid, over_limit
from simulator.stream.responses import Answer
from simulator.stream.tokens import seal, unseal_page

CREATING_AT_ONCE = 5
ON_DEMAND_SHARDS = 4
LEAST_RETENTION, MOST_RETENTION = 24, 8760  # hours


def create_stream(account: Account, request: Request) -> Answer:
    """CreateStream."""
    name = request["StreamName"]
    on_demand = request.get("StreamModeDetails", {}).get("StreamMode") == "ON_DEMAND"
    shards = ON_DEMAND_SHARDS if on_demand else request.get("ShardCount")
    if on_demand and "ShardCount" in request:
        raise invalid("ShardCount must not be specified for a stream in ON_DEMAND mode.")
    if shards is None:
        raise invalid("ShardCount must be specified for a stream in PROVISIONED mode.")
    if name in account.streams:
        raise in_use(f"Stream {name} under account {account.number} already exists.")
    account.inject("CreateStream", f"stream {name}")
    if sum(stream.status(account.now) == "CREATING" for stream in account.streams.values()) >= CREATING_AT_ONCE:
        raise over_limit(f"Only {CREATING_AT_ONCE} streams may be in CREATING state at any time.")
    account.require_shards(shards)
    most = 1024 * request.get("MaxRecordSizeInKiB", 1024)
    account.add(name, shards, on_demand=on_demand, max_record_bytes=most)
    account.streams[name].tags |= request.get("Tags", {})
    return {}


def delete_stream(account: Account, request: Request) -> Answer:
    """DeleteStream."""
    stream = account.active("DeleteStream", request)
    if stream.consumers and not request.get("EnforceConsumerDeletion"):
        raise in_use(
            f"Stream {stream.name} under account {account.number} has {len(stream.consumers)} consumers registered. "
            "Deregister them, or set EnforceConsumerDeletion."
        )
    account.enter(stream, "DELETING")
    return {}


def list_streams(account: Account, request: Request) -> Answer:
    """ListStreams."""
    account.inject("ListStreams", f"account {account.number}")
    after = request.get("ExclusiveStartStreamName", "")
    if "NextToken" in request:
        (after,) = unseal_page(request["NextToken"], "streams", (str,), account.now)
    names = sorted(name for name in account.streams if name > after)
    page = names[: request.get("Limit", 100)]
    streams = [account.streams[name] for name in page]
    answer: Answer = {
        "StreamNames": page,
        "HasMoreStreams": len(page) < len(names),
        "StreamSummaries": [responses.listed(stream, stream.status(account.now)) for stream in streams],
    }
    if len(page) < len(names):
        answer["NextToken"] = seal("streams", page[-1], account.now)
    return answer


def describe_stream(account: Account, request: Request) -> Answer:
    """DescribeStream."""
    stream = account.stream("DescribeStream", request)
    status = stream.status(account.now)
    after = request.get("ExclusiveStartShardId", "")
    shards = [shard for shard in stream.shards.values() if shard.id > after and status != "CREATING"]
    page = shards[: request.get("Limit", 100)]
    description = {
        **responses.described(stream, status),
        "Shards": [responses.shard(shard) for shard in page],
        "HasMoreShards": len(page) < len(shards),
    }
    return {"StreamDescription": description}


def describe_stream_summary(account: Account, request: Request) -> Answer:
    """DescribeStreamSummary."""
    stream = account.stream("DescribeStreamSummary", request)
    status = stream.status(account.now)
    summary = {
        **responses.described(stream, status),
        "OpenShardCount": 0 if status == "CREATING" else len(stream.open_shards),
        "ConsumerCount": len(stream.consumers),
        "MaxRecordSizeInKiB": stream.max_record_bytes // 1024,
    }
    return {"StreamDescriptionSummary": summary}


def increase_retention(account: Account, request: Request) -> Answer:
    """IncreaseStreamRetentionPeriod."""
    stream = account.active("IncreaseStreamRetentionPeriod", request)
    hours = request["RetentionPeriodHours"]
    if hours > MOST_RETENTION:
        raise invalid(
            f"Maximum allowed retention period is {MOST_RETENTION} hours. "
            f"Requested retention period ({hours} hours) is too long."
        )
    if hours < stream.retention_hours:
        raise invalid(
            f"Requested retention period ({hours} hours) for stream {stream.name} can not be shorter than existing "
            f"retention period ({stream.retention_hours} hours). Use DecreaseRetentionPeriod API."
        )
    stream.retention_hours = hours
    return {}


def decrease_retention(account: Account, request: Request) -> Answer:
    """DecreaseStreamRetentionPeriod."""
    stream = account.active("DecreaseStreamRetentionPeriod", request)
    hours = request["RetentionPeriodHours"]
    if hours < LEAST_RETENTION:
        raise invalid(
            f"Minimum allowed retention period is {LEAST_RETENTION} hours. "
            f"Requested retention period ({hours} hours) is too short."
        )
    if hours > stream.retention_hours:
        raise invalid(
            f"Requested retention period ({hours} hours) for stream {stream.name} can not be longer than existing "
            f"retention period ({stream.retention_hours} hours). Use IncreaseRetentionPeriod API."
        )
    stream.retention_hours = hours
    stream.expire(account.now)
    return {}
