"""What is said of streams and of the account: tags, monitoring, encryption, modes, limits."""

from __future__ import annotations

from simulator.stream.account import Account, Request
from simulator.stream.errors import KinesisError, invalid
from simulator.stream.responses import Answer
from simulator.stream.shards import Stream

MOST_TAGS = 50  # of a stream or consumer
ON_DEMAND_STREAMS = 50
METRICS = (
    "IncomingBytes",
    "IncomingRecords",
    "OutgoingBytes",
    "OutgoingRecords",
    "WriteProvisionedThroughputExceeded",
    "ReadProvisionedThroughputExceeded",
    "IteratorAgeMilliseconds",
)


def add_tags_to_stream(account: Account, request: Request) -> Answer:
    """AddTagsToStream."""
    stream = account.stream("AddTagsToStream", request)
    _add(account, stream.name, stream.tags, request["Tags"])
    return {}


def remove_tags_from_stream(account: Account, request: Request) -> Answer:
    """RemoveTagsFromStream."""
    _remove(account.stream("RemoveTagsFromStream", request).tags, request["TagKeys"])
    return {}


def list_tags_for_stream(account: Account, request: Request) -> Answer:
    """ListTagsForStream."""
    stream = account.stream("ListTagsForStream", request)
    after = request.get("ExclusiveStartTagKey", "")
    found = [tag for tag in _listed(stream.tags) if tag["Key"] > after]
    page = found[: request.get("Limit", MOST_TAGS)]
    return {"Tags": page, "HasMoreTags": len(page) < len(found)}


def tag_resource(account: Account, request: Request) -> Answer:
    """TagResource."""
    _add(account, request["ResourceARN"], _tags(account, "TagResource", request), request["Tags"])
    return {}


def untag_resource(account: Account, request: Request) -> Answer:
    """UntagResource."""
    _remove(_tags(account, "UntagResource", request), request["TagKeys"])
    return {}


def list_tags_for_resource(account: Account, request: Request) -> Answer:
    """ListTagsForResource."""
    return {"Tags": _listed(_tags(account, "ListTagsForResource", request))}


def describe_limits(account: Account, request: Request) -> Answer:
    """DescribeLimits."""
    streams = account.streams.values()
    account.inject("DescribeLimits", f"account {account.number}")
    return {
        "ShardLimit": account.shard_limit,
        "OpenShardCount": sum(len(stream.open_shards) for stream in streams if not stream.on_demand),
        "OnDemandStreamCount": sum(stream.on_demand for stream in streams),
        "OnDemandStreamCountLimit": ON_DEMAND_STREAMS,
    }


def describe_account_settings(account: Account, request: Request) -> Answer:
    """DescribeAccountSettings."""
    account.inject("DescribeAccountSettings", f"account {account.number}")
    return {"MinimumThroughputBillingCommitment": {"Status": "DISABLED"}}


def enable_enhanced_monitoring(account: Account, request: Request) -> Answer:
    """EnableEnhancedMonitoring."""
    stream = account.active("EnableEnhancedMonitoring", request)
    return _monitor(stream, {*stream.metrics, *_named(request)})


def disable_enhanced_monitoring(account: Account, request: Request) -> Answer:
    """DisableEnhancedMonitoring."""
    stream = account.active("DisableEnhancedMonitoring", request)
    return _monitor(stream, {*stream.metrics} - _named(request))


def update_stream_mode(account: Account, request: Request) -> Answer:
    """UpdateStreamMode."""
    stream = account.active("UpdateStreamMode", request)
    stream.on_demand = request["StreamModeDetails"]["StreamMode"] == "ON_DEMAND"
    account.enter(stream, "UPDATING")
    return {}


def update_max_record_size(account: Account, request: Request) -> Answer:
    """UpdateMaxRecordSize."""
    stream = account.active("UpdateMaxRecordSize", request)
    stream.max_record_bytes = 1024 * int(request["MaxRecordSizeInKiB"])
    account.enter(stream, "UPDATING")
    return {}


def start_stream_encryption(account: Account, request: Request) -> Answer:
    """StartStreamEncryption. Nothing is encrypted; the stream says that it is."""
    stream = account.active("StartStreamEncryption", request)
    if request["EncryptionType"] != "KMS":
        raise KinesisError("ValidationException", "EncryptionType must be KMS.")
    stream.key = request["KeyId"]
    account.enter(stream, "UPDATING")
    return {}


def stop_stream_encryption(account: Account, request: Request) -> Answer:
    """StopStreamEncryption."""
    stream = account.active("StopStreamEncryption", request)
    stream.key = None
    account.enter(stream, "UPDATING")
    return {}


def _tags(account: Account, operation: str, request: Request) -> dict[str, str]:
    """The tags of the stream or consumer that an ARN names. Raises KinesisError."""
    arn = request["ResourceARN"]
    if "/consumer/" in arn:
        stream, consumer = account.consumer(arn)
        account.inject_on_stream(operation, stream)
        return consumer.tags
    return account.stream(operation, {"StreamARN": arn}).tags


def _add(account: Account, name: str, tags: dict[str, str], more: dict[str, str]) -> None:
    if len({*tags, *more}) > MOST_TAGS:
        raise invalid(
            f"Failed to add tags to stream {name} under account {account.number} because a given stream cannot have "
            f"more than {MOST_TAGS} tags associated with it."
        )
    tags.update(more)


def _remove(tags: dict[str, str], keys: list[str]) -> None:
    for key in keys:
        tags.pop(key, None)


def _listed(tags: dict[str, str]) -> list[Answer]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def _named(request: Request) -> set[str]:
    names = set(request["ShardLevelMetrics"])
    return {*METRICS} if "ALL" in names else names


def _monitor(stream: Stream, wanted: set[str]) -> Answer:
    before, stream.metrics = stream.metrics, [name for name in METRICS if name in wanted]
    return {
        "StreamName": stream.name,
        "StreamARN": stream.arn,
        "CurrentShardLevelMetrics": before,
        "DesiredShardLevelMetrics": stream.metrics,
    }
