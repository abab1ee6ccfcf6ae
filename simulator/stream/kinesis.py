"""Kinesis Data Streams' API over streams in memory: a request as a dict in, an answer as a dict out.

Guarantee: records of one shard are read in the order in which they were put, each as often as it is asked for, until
they are older than the stream's retention period or the memory allowed is used up (the oldest go first).

Differs from AWS: nothing is signed, throughput is not limited (but see ``faults``), and operations that change a stream
are done at once unless ``transition`` says how long they take. Enhanced fan-out is not limited either, neither in bytes
nor in calls a second. Nothing is encrypted, and DryRun is not there.

Where AWS's documents are silent: an event's ContinuationSequenceNumber is that of the record before, so that only
AFTER_SEQUENCE_NUMBER doubles nothing; the first event comes at once; a subscription that another call takes over, or
whose consumer is gone, ends with an exception in the stream, but what is refused at the call is refused by HTTP status.

Source: the API reference of Kinesis Data Streams, 2013-12-02.
"""

from __future__ import annotations

from collections.abc import Callable

from simulator.stream.account import Account, Request
from simulator.stream.consumers import Subscription
from simulator.stream.errors import KinesisError
from simulator.stream.operations import consumers, reading, settings, shards, streams, writing
from simulator.stream.request_shapes import REQUESTS, validate
from simulator.stream.responses import Answer

OPERATIONS: dict[str, Callable[[Account, Request], Answer]] = {
    "CreateStream": streams.create_stream,
    "DeleteStream": streams.delete_stream,
    "ListStreams": streams.list_streams,
    "DescribeStream": streams.describe_stream,
    "DescribeStreamSummary": streams.describe_stream_summary,
    "IncreaseStreamRetentionPeriod": streams.increase_retention,
    "DecreaseStreamRetentionPeriod": streams.decrease_retention,
    "ListShards": shards.list_shards,
    "SplitShard": shards.split_shard,
    "MergeShards": shards.merge_shards,
    "UpdateShardCount": shards.update_shard_count,
    "PutRecord": writing.put_record,
    "PutRecords": writing.put_records,
    "GetShardIterator": reading.get_shard_iterator,
    "GetRecords": reading.get_records,
    "RegisterStreamConsumer": consumers.register_stream_consumer,
    "DescribeStreamConsumer": consumers.describe_stream_consumer,
    "ListStreamConsumers": consumers.list_stream_consumers,
    "DeregisterStreamConsumer": consumers.deregister_stream_consumer,
    "AddTagsToStream": settings.add_tags_to_stream,
    "RemoveTagsFromStream": settings.remove_tags_from_stream,
    "ListTagsForStream": settings.list_tags_for_stream,
    "TagResource": settings.tag_resource,
    "UntagResource": settings.untag_resource,
    "ListTagsForResource": settings.list_tags_for_resource,
    "DescribeLimits": settings.describe_limits,
    "DescribeAccountSettings": settings.describe_account_settings,
    "EnableEnhancedMonitoring": settings.enable_enhanced_monitoring,
    "DisableEnhancedMonitoring": settings.disable_enhanced_monitoring,
    "UpdateStreamMode": settings.update_stream_mode,
    "UpdateMaxRecordSize": settings.update_max_record_size,
    "StartStreamEncryption": settings.start_stream_encryption,
    "StopStreamEncryption": settings.stop_stream_encryption,
}


class Kinesis:
    """The API of one account in one region."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def call(self, operation: str, request: Request) -> Answer:
        """Answer a request; for SubscribeToShard there is ``subscribe``. Raises KinesisError."""
        handle = OPERATIONS.get(operation)
        if handle is None:
            known = ", ".join(sorted((*OPERATIONS, "SubscribeToShard")))
            raise KinesisError(
                "UnknownOperationException", f"the local stream has no operation {operation!r}; it has {known}"
            )
        return handle(self._account, self._begin(operation, request))

    def subscribe(self, request: Request) -> Subscription:
        """Answer SubscribeToShard: what follows comes from ``next_event``. Raises KinesisError."""
        return reading.subscribe_to_shard(self._account, self._begin("SubscribeToShard", request))

    def next_event(self, subscription: Subscription) -> Answer | None:
        """The SubscribeToShardEvent that is due, or None if none is (yet, or any more: see ``over``).

        Raises KinesisError if the subscription has ended because of an error.
        """
        self._account.tick()
        return reading.next_event(self._account, subscription)

    def _begin(self, operation: str, request: Request) -> Request:
        """The members that are given. Raises KinesisError if they are not as described."""
        validate(REQUESTS[operation], request)
        self._account.tick()
        return {name: value for name, value in request.items() if value is not None}
