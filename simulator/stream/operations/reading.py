"""Reading: by shard iterators, or by a subscription whose events are pushed."""

from __future__ import annotations

from simulator.stream import responses
from simulator.stream.account import Account, Request
from simulator.stream.consumers import Subscription
from simulator.stream.errors import invalid
from simulator.stream.responses import Answer
from simulator.stream.shards import Shard, Stream
from simulator.stream.tokens import require_fresh_iterator, seal, unseal

READ_RECORDS = 10_000  # at most, in one GetRecords
READ_BYTES = 10 * 1024 * 1024
EVENT_BYTES = 1024 * 1024  # of data in one SubscribeToShardEvent, unless a single record is larger
SILENCE = 5_000  # ms, after which a subscription without records gets an event


def get_shard_iterator(account: Account, request: Request) -> Answer:
    """GetShardIterator."""
    stream = account.readable("GetShardIterator", request)
    shard = stream.shard(request["ShardId"])
    account.inject_on_shard("GetShardIterator", stream, shard)
    start = {
        "Type": request["ShardIteratorType"],
        "SequenceNumber": request.get("StartingSequenceNumber"),
        "Timestamp": request.get("Timestamp"),
    }
    number = _position(account, "GetShardIterator", stream, shard, start)
    return {"ShardIterator": seal("iterator", stream.name, stream.created, shard.id, number, account.now)}


def get_records(account: Account, request: Request) -> Answer:
    """GetRecords."""
    name, created, shard_id, number, issued = unseal(
        request["ShardIterator"], "iterator", (str, int, str, int, int), "Invalid ShardIterator."
    )
    limit = request.get("Limit", READ_RECORDS)
    if limit > READ_RECORDS:
        raise invalid(f"Limit {limit} exceeds the maximum of {READ_RECORDS} records.")
    require_fresh_iterator(issued, account.now)
    stream = account.readable("GetRecords", {"StreamName": name, **request})
    account.require_creation(stream, created)
    shard = stream.shard(shard_id)
    account.inject_on_shard("GetRecords", stream, shard)
    until = account.now - account.faults.lag("GetRecords", shard_id)
    found, following = shard.read(number, limit, READ_BYTES, until)
    answer = responses.records(shard, found, following, account.now)
    if "ChildShards" not in answer:
        answer["NextShardIterator"] = seal("iterator", name, created, shard_id, following, account.now)
    return answer


def subscribe_to_shard(account: Account, request: Request) -> Subscription:
    """SubscribeToShard; its events come from ``next_event``."""
    stream, consumer = account.consumer(request["ConsumerARN"])
    shard = stream.shard(request["ShardId"])
    account.inject_on_shard("SubscribeToShard", stream, shard)
    number = _position(account, "SubscribeToShard", stream, shard, request["StartingPosition"])
    ends = account.now + account.subscription
    return stream.consumers.subscribe(consumer, shard.id, number, account.now, ends)


def next_event(account: Account, subscription: Subscription) -> Answer | None:
    """The SubscribeToShardEvent that is due, or None if none is (yet, or any more: see ``over``)."""
    now = account.now
    stream, _ = account.consumer(subscription.consumer.arn)
    stream.consumers.require(subscription)
    shard = stream.shard(subscription.shard)
    if now >= subscription.ends:
        subscription.over = True
        return None
    lag = account.faults.lag("SubscribeToShardEvent", shard.id)
    found, following = shard.read(subscription.number, READ_RECORDS, EVENT_BYTES, now - lag)
    answer = responses.records(shard, found, following, now)
    ended = "ChildShards" in answer
    silent = subscription.sent is not None and now - subscription.sent < SILENCE
    if silent and not found and not ended:
        return None
    account.inject_on_shard("SubscribeToShardEvent", stream, shard, ("fail",))
    subscription.number, subscription.sent, subscription.over = following, now, ended
    if not ended:
        answer["ContinuationSequenceNumber"] = shard.sequence_before(following)
    return answer


def _position(account: Account, operation: str, stream: Stream, shard: Shard, start: Request) -> int:
    """The number of the record that reading starts with; ``start`` is a StartingPosition."""
    kind, sequence, timestamp = start["Type"], start.get("SequenceNumber"), start.get("Timestamp")
    if kind == "LATEST":
        return shard.end
    if kind == "TRIM_HORIZON":
        return shard.first
    if kind == "AT_TIMESTAMP":
        if timestamp is None:
            raise invalid("Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP.")
        moment = round(1000 * timestamp)
        if moment > account.now:
            raise invalid(
                "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. "
                f"timestampInMillis: {moment}, currentTimestampInMillis: {account.now}"
            )
        return shard.at_time(moment)
    if sequence is None:
        raise invalid(f"Must specify sequenceNumber parameter for iterator of type {kind}.")
    find = shard.at_sequence if kind == "AT_SEQUENCE_NUMBER" else shard.after_sequence
    try:
        return find(int(sequence))
    except ValueError:
        raise invalid(
            f"StartingSequenceNumber {sequence} used in {operation} on shard {shard.id} in stream "
            f"{stream.name} under account {account.number} is invalid because it did not come from this shard."
        ) from None
