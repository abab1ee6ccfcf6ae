"""Kinesis Data Streams' API over streams in memory: a request as a dict in, an answer as a dict out.

Guarantee: records of one shard are read in the order in which they were put, each as often as it is asked for, until
they are older than the stream's retention period or the memory allowed is used up (the oldest go first).

Differs from AWS: nothing is signed, throughput is not limited (but see ``faults``), and operations that change a stream
are done at once unless ``transition`` says how long they take. Enhanced fan-out is not limited either, neither in bytes
nor in calls a second. Tags, encryption and DryRun are not there.

Where AWS's documents are silent: an event's ContinuationSequenceNumber is that of the record before, so that only
AFTER_SEQUENCE_NUMBER doubles nothing; the first event comes at once; a subscription that another call takes over, or
whose consumer is gone, ends with an exception in the stream, but what is refused at the call is refused by HTTP status.

Source: the API reference of Kinesis Data Streams, 2013-12-02.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import orjson

from simulator.stream.consumers import Consumer, Subscription
from simulator.stream.errors import KinesisError, in_use, invalid, not_found, over_limit
from simulator.stream.faults import DATA_OPERATIONS, Faults, Kind
from simulator.stream.members import REQUESTS, validate
from simulator.stream.shards import HASH_KEYS, Shard, Stored, Stream, data_size, oldest_first

READ_RECORDS = 10_000  # at most, in one GetRecords
READ_BYTES = 10 * 1024 * 1024
EVENT_BYTES = 1024 * 1024  # of data in one SubscribeToShardEvent, unless a single record is larger
SILENCE = 5_000  # ms, after which a subscription without records gets an event
REQUEST_BYTES = 10 * 1024 * 1024  # of data and keys in one PutRecords
LIFETIME = 300_000  # ms, of shard iterators and of ListShards' tokens
CREATING_AT_ONCE = 5
ON_DEMAND_SHARDS = 4

Answer = dict[str, Any]


class Kinesis:
    """The streams of one account in one region.

    Args:
        clock: seconds since 1970.
        region: part of the streams' ARNs.
        account: part of the streams' ARNs, 12 digits.
        transition: seconds for which a stream or a consumer stays CREATING, UPDATING or DELETING; with 0 it is ACTIVE,
            or gone, at once.
        subscription: seconds after which a subscription to a shard ends.
        shard_limit: open shards that the account may have.
        memory: bytes that records may take, about; then the oldest are dropped before their time.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        region: str = "us-east-1",
        account: str = "000000000000",
        transition: float = 0.0,
        subscription: float = 300.0,
        shard_limit: int = 500,
        memory: int = 1024**3,
    ) -> None:
        self.faults = Faults()
        self._clock = clock
        self._region = region
        self._account = account
        self._transition = round(1000 * transition)
        self._subscription = round(1000 * subscription)
        self._shard_limit = shard_limit
        self._memory = memory
        self._streams: dict[str, Stream] = {}
        self._now = 0  # ms
        self._swept = 0
        self._last_created = 0
        self._operations: dict[str, Callable[[Answer, int], Answer]] = {
            "CreateStream": self._create_stream,
            "DeleteStream": self._delete_stream,
            "ListStreams": self._list_streams,
            "DescribeStream": self._describe_stream,
            "DescribeStreamSummary": self._describe_stream_summary,
            "ListShards": self._list_shards,
            "GetShardIterator": self._get_shard_iterator,
            "GetRecords": self._get_records,
            "PutRecord": self._put_record,
            "PutRecords": self._put_records,
            "SplitShard": self._split_shard,
            "MergeShards": self._merge_shards,
            "UpdateShardCount": self._update_shard_count,
            "IncreaseStreamRetentionPeriod": self._increase_retention,
            "DecreaseStreamRetentionPeriod": self._decrease_retention,
            "RegisterStreamConsumer": self._register_consumer,
            "DescribeStreamConsumer": self._describe_consumer,
            "ListStreamConsumers": self._list_consumers,
            "DeregisterStreamConsumer": self._deregister_consumer,
        }

    def call(self, operation: str, request: Answer) -> Answer:
        """Answer a request; for SubscribeToShard there is ``subscribe``. Raises KinesisError."""
        handle = self._operations.get(operation)
        if handle is None:
            raise KinesisError("UnknownOperationException")
        return handle(_valid(operation, request), self._tick())

    def subscribe(self, request: Answer) -> Subscription:
        """Answer SubscribeToShard: what follows comes from ``next_event``. Raises KinesisError."""
        request, now = _valid("SubscribeToShard", request), self._tick()
        stream, consumer = self._consumer(request["ConsumerARN"])
        shard = stream.shard(request["ShardId"])
        self._strike("SubscribeToShard", shard, _subject(stream, shard))
        start = request["StartingPosition"]
        number = self._position(
            "SubscribeToShard", stream, shard, start["Type"], start.get("SequenceNumber"), start.get("Timestamp"), now
        )
        return stream.consumers.subscribe(consumer, shard.id, number, now, now + self._subscription)

    def next_event(self, subscription: Subscription) -> Answer | None:
        """The SubscribeToShardEvent that is due, or None if none is (yet, or any more: see ``over``).

        Raises KinesisError if the subscription has ended because of an error.
        """
        now = self._tick()
        stream, _ = self._consumer(subscription.consumer.arn)
        stream.consumers.require(subscription)
        shard = stream.shard(subscription.shard)
        if now >= subscription.ends:
            subscription.over = True
            return None
        lag = self.faults.lag("SubscribeToShardEvent", shard.id)
        found, following = shard.read(subscription.number, READ_RECORDS, EVENT_BYTES, now - lag)
        answer = _records(shard, found, following, now)
        ended = "ChildShards" in answer
        silent = subscription.sent is not None and now - subscription.sent < SILENCE
        if silent and not found and not ended:
            return None
        self._strike("SubscribeToShardEvent", shard, _subject(stream, shard), ("fail",))
        subscription.number, subscription.sent, subscription.over = following, now, ended
        if not ended:
            answer["ContinuationSequenceNumber"] = shard.sequence_before(following)
        return answer

    def _tick(self) -> int:
        """What time it is, when all that has come with it is done."""
        self._now = max(self._now, round(1000 * self._clock()))  # the clock may be set back, arrivals must not be
        self._sweep(self._now)
        return self._now

    # Streams

    def _create_stream(self, request: Answer, now: int) -> Answer:
        name = request["StreamName"]
        on_demand = request.get("StreamModeDetails", {}).get("StreamMode") == "ON_DEMAND"
        shards = ON_DEMAND_SHARDS if on_demand else request.get("ShardCount")
        if on_demand and "ShardCount" in request:
            raise invalid("ShardCount must not be specified for a stream in ON_DEMAND mode.")
        if shards is None:
            raise invalid("ShardCount must be specified for a stream in PROVISIONED mode.")
        if name in self._streams:
            raise in_use(f"Stream {name} under account {self._account} already exists.")
        self._strike("CreateStream", None, f"stream {name}")
        if sum(stream.status(now) == "CREATING" for stream in self._streams.values()) >= CREATING_AT_ONCE:
            raise over_limit(f"Only {CREATING_AT_ONCE} streams may be in CREATING state at any time.")
        self._require_shards(shards)
        self._last_created = max(now, self._last_created + 1)  # tells two streams of one name apart
        stream = Stream(
            name,
            f"arn:aws:kinesis:{self._region}:{self._account}:stream/{name}",
            self._last_created,
            shards,
            on_demand=on_demand,
            max_record_bytes=1024 * request.get("MaxRecordSizeInKiB", 1024),
        )
        stream.busy_until = now + self._transition
        self._streams[name] = stream
        return {}

    def _delete_stream(self, request: Answer, now: int) -> Answer:
        stream = self._active("DeleteStream", request, now)
        if stream.consumers and not request.get("EnforceConsumerDeletion"):
            raise in_use(
                f"Stream {stream.name} under account {self._account} has {len(stream.consumers)} consumers registered. "
                "Deregister them, or set EnforceConsumerDeletion."
            )
        stream.state, stream.busy_until = "DELETING", now + self._transition
        if not self._transition:
            del self._streams[stream.name]
        return {}

    def _list_streams(self, request: Answer, now: int) -> Answer:
        self._strike("ListStreams", None, f"account {self._account}")
        after = request.get("ExclusiveStartStreamName", "")
        if "NextToken" in request:
            after, issued = _unseal(request["NextToken"], "streams", (str, int), "Invalid NextToken.")
            _require_fresh_token(issued, now)
        names = sorted(name for name in self._streams if name > after)
        page = names[: request.get("Limit", 100)]
        answer: Answer = {
            "StreamNames": page,
            "HasMoreStreams": len(page) < len(names),
            "StreamSummaries": [
                {
                    "StreamName": name,
                    "StreamARN": self._streams[name].arn,
                    "StreamStatus": self._streams[name].status(now),
                    "StreamModeDetails": _mode(self._streams[name]),
                    "StreamCreationTimestamp": self._streams[name].created / 1000,
                }
                for name in page
            ],
        }
        if len(page) < len(names):
            answer["NextToken"] = _seal("streams", page[-1], now)
        return answer

    def _describe_stream(self, request: Answer, now: int) -> Answer:
        stream = self._stream("DescribeStream", request, now)
        status = stream.status(now)
        after = request.get("ExclusiveStartShardId", "")
        shards = [shard for shard in stream.shards.values() if shard.id > after and status != "CREATING"]
        page = shards[: request.get("Limit", 100)]
        description = {
            **_description(stream, status),
            "Shards": [_shard(shard) for shard in page],
            "HasMoreShards": len(page) < len(shards),
        }
        return {"StreamDescription": description}

    def _describe_stream_summary(self, request: Answer, now: int) -> Answer:
        stream = self._stream("DescribeStreamSummary", request, now)
        status = stream.status(now)
        summary = {
            **_description(stream, status),
            "OpenShardCount": 0 if status == "CREATING" else len(stream.open_shards),
            "ConsumerCount": len(stream.consumers),
            "MaxRecordSizeInKiB": stream.max_record_bytes // 1024,
        }
        return {"StreamDescriptionSummary": summary}

    def _increase_retention(self, request: Answer, now: int) -> Answer:
        stream = self._active("IncreaseStreamRetentionPeriod", request, now)
        hours = request["RetentionPeriodHours"]
        if hours > 8760:
            raise invalid(
                "Maximum allowed retention period is 8760 hours. "
                f"Requested retention period ({hours} hours) is too long."
            )
        if hours < stream.retention_hours:
            raise invalid(
                f"Requested retention period ({hours} hours) for stream {stream.name} can not be shorter than existing "
                f"retention period ({stream.retention_hours} hours). Use DecreaseRetentionPeriod API."
            )
        stream.retention_hours = hours
        return {}

    def _decrease_retention(self, request: Answer, now: int) -> Answer:
        stream = self._active("DecreaseStreamRetentionPeriod", request, now)
        hours = request["RetentionPeriodHours"]
        if hours < 24:
            raise invalid(
                "Minimum allowed retention period is 24 hours. "
                f"Requested retention period ({hours} hours) is too short."
            )
        if hours > stream.retention_hours:
            raise invalid(
                f"Requested retention period ({hours} hours) for stream {stream.name} can not be longer than existing "
                f"retention period ({stream.retention_hours} hours). Use IncreaseRetentionPeriod API."
            )
        stream.retention_hours = hours
        stream.expire(now)
        return {}

    # Shards

    def _list_shards(self, request: Answer, now: int) -> Answer:
        token = request.get("NextToken")
        if token is None:
            stream = self._stream("ListShards", request, now)
            after, wanted = request.get("ExclusiveStartShardId", ""), request.get("ShardFilter", {})
            created = request.get("StreamCreationTimestamp")
            if created is not None and round(1000 * created) != stream.created:
                raise not_found(f"Stream {stream.name} under account {self._account} not found.")
        else:
            for other in ("StreamName", "StreamARN", "ExclusiveStartShardId", "StreamCreationTimestamp", "ShardFilter"):
                if other in request:
                    raise invalid(f"NextToken and {other} cannot be provided together.")
            name, created, after, wanted, issued = _unseal(
                token, "shards", (str, int, str, dict, int), "Invalid NextToken."
            )
            _require_fresh_token(issued, now)
            stream = self._stream("ListShards", {"StreamName": name}, now)
            if created != stream.created:
                raise not_found(f"Stream {name} under account {self._account} not found.")
        if stream.status(now) == "CREATING":
            raise in_use(f"Stream {stream.name} under account {self._account} not ACTIVE, instead in state CREATING")
        shards = [shard for shard in _filtered(stream, wanted, now) if shard.id > after]
        page = shards[: min(request.get("MaxResults", 1000), 1000)]
        answer: Answer = {"Shards": [_shard(shard) for shard in page]}
        if len(page) < len(shards):
            answer["NextToken"] = _seal("shards", stream.name, stream.created, page[-1].id, wanted, now)
        return answer

    def _split_shard(self, request: Answer, now: int) -> Answer:
        stream = self._resharding("SplitShard", request, now)
        shard = stream.shard(request["ShardToSplit"])
        self._require_shards(1)
        stream.split(shard, int(request["NewStartingHashKey"]), now)
        return self._updating(stream, now)

    def _merge_shards(self, request: Answer, now: int) -> Answer:
        stream = self._resharding("MergeShards", request, now)
        stream.merge(stream.shard(request["ShardToMerge"]), stream.shard(request["AdjacentShardToMerge"]), now)
        return self._updating(stream, now)

    def _update_shard_count(self, request: Answer, now: int) -> Answer:
        stream = self._resharding("UpdateShardCount", request, now)
        current, target = len(stream.open_shards), request["TargetShardCount"]
        if not current <= 2 * target <= 4 * current:
            way = "up over double" if target > current else "down below half"
            raise over_limit(
                f"UpdateShardCount cannot scale {way} your current open shard count. Current open shard count: "
                f"{current}, Target shard count: {target}"
            )
        self._require_shards(target - current)
        stream.scale(target, now)
        self._updating(stream, now)
        return {
            "StreamName": stream.name,
            "StreamARN": stream.arn,
            "CurrentShardCount": current,
            "TargetShardCount": target,
        }

    def _resharding(self, operation: str, request: Answer, now: int) -> Stream:
        stream = self._active(operation, request, now)
        if stream.on_demand:
            raise KinesisError(
                "ValidationException",
                f"Request is invalid. Stream {stream.name} under account {self._account} is in On-Demand mode.",
            )
        return stream

    def _updating(self, stream: Stream, now: int) -> Answer:
        stream.state, stream.busy_until = "UPDATING", now + self._transition
        return {}

    def _require_shards(self, more: int) -> None:
        """Raises KinesisError if so many more open shards are too many."""
        present = sum(len(stream.open_shards) for stream in self._streams.values())
        if present + more > self._shard_limit:
            raise over_limit(
                f"This request would exceed the shard limit for the account {self._account} in {self._region}. Current "
                f"shard count for the account: {present}. Limit: {self._shard_limit}. Number of additional shards that "
                f"would have resulted from this request: {more}."
            )

    # Writing

    def _put_record(self, request: Answer, now: int) -> Answer:
        stream = self._readable("PutRecord", request, now)
        self._require_sizes(stream, [request])
        shard = self._target(stream, request)
        self._require_ordering(stream, request)
        self._strike("PutRecord", shard, _subject(stream, shard))
        sequence = shard.append(now, request["PartitionKey"], request["Data"])
        self._make_room()
        return {"ShardId": shard.id, "SequenceNumber": sequence}

    def _put_records(self, request: Answer, now: int) -> Answer:
        stream = self._readable("PutRecords", request, now)
        entries = request["Records"]
        self._strike("PutRecords", None, f"stream {stream.name}", ("fail",))
        self._require_sizes(stream, entries)
        faulty = bool(self.faults.active)
        results: list[Answer] = []
        failed = 0
        for entry, shard in [(entry, self._target(stream, entry)) for entry in entries]:
            error = faulty and self.faults.strike("PutRecords", shard.id, _subject(stream, shard), ("throttle",))
            if error:
                failed += 1
                results.append({"ErrorCode": error.type, "ErrorMessage": error.message})
            else:
                sequence = shard.append(now, entry["PartitionKey"], entry["Data"])
                results.append({"SequenceNumber": sequence, "ShardId": shard.id})
        self._make_room()
        return {"FailedRecordCount": failed, "Records": results}

    def _target(self, stream: Stream, entry: Answer) -> Shard:
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

    def _require_sizes(self, stream: Stream, entries: list[Answer]) -> None:
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

    def _require_ordering(self, stream: Stream, request: Answer) -> None:
        """Sequence numbers grow in any case; the number must but come from this stream."""
        before = request.get("SequenceNumberForOrdering")
        if before is not None and not any(_is_of(shard, int(before)) for shard in stream.shards.values()):
            raise invalid(
                f"ExclusiveMinimumSequenceNumber {before} used in PutRecord on stream {stream.name} under account "
                f"{self._account} is invalid."
            )

    def _make_room(self) -> None:
        shards = [shard for stream in self._streams.values() for shard in stream.shards.values()]
        size = sum(shard.size for shard in shards)
        while size > self._memory:
            oldest = next(oldest_first(shards))
            size -= oldest.drop(1 + (oldest.end - oldest.first) // 16)  # in bulk: dropping moves all that stays

    # Reading

    def _get_shard_iterator(self, request: Answer, now: int) -> Answer:
        stream = self._readable("GetShardIterator", request, now)
        shard = stream.shard(request["ShardId"])
        self._strike("GetShardIterator", shard, _subject(stream, shard))
        number = self._position(
            "GetShardIterator",
            stream,
            shard,
            request["ShardIteratorType"],
            request.get("StartingSequenceNumber"),
            request.get("Timestamp"),
            now,
        )
        return {"ShardIterator": _seal("iterator", stream.name, stream.created, shard.id, number, now)}

    def _position(
        self,
        operation: str,
        stream: Stream,
        shard: Shard,
        kind: str,
        sequence: str | None,
        timestamp: float | None,
        now: int,
    ) -> int:
        """The number of the record that reading starts with."""
        if kind == "LATEST":
            return shard.end
        if kind == "TRIM_HORIZON":
            return shard.first
        if kind == "AT_TIMESTAMP":
            if timestamp is None:
                raise invalid("Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP.")
            moment = round(1000 * timestamp)
            if moment > now:
                raise invalid(
                    "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. "
                    f"timestampInMillis: {moment}, currentTimestampInMillis: {now}"
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
                f"{stream.name} under account {self._account} is invalid because it did not come from this shard."
            ) from None

    def _get_records(self, request: Answer, now: int) -> Answer:
        name, created, shard_id, number, issued = _unseal(
            request["ShardIterator"], "iterator", (str, int, str, int, int), "Invalid ShardIterator."
        )
        limit = request.get("Limit", READ_RECORDS)
        if limit > READ_RECORDS:
            raise invalid(f"Limit {limit} exceeds the maximum of {READ_RECORDS} records.")
        if now - issued > LIFETIME:
            raise KinesisError(
                "ExpiredIteratorException",
                f"Iterator expired. The iterator was created at time {_date(issued)} while right now it is "
                f"{_date(now)} which is further in the future than the tolerated delay of {LIFETIME} milliseconds.",
            )
        stream = self._readable("GetRecords", {"StreamName": name, **request}, now)
        if created != stream.created:
            raise not_found(f"Stream {name} under account {self._account} not found.")
        shard = stream.shard(shard_id)
        self._strike("GetRecords", shard, _subject(stream, shard))
        found, following = shard.read(number, limit, READ_BYTES, now - self.faults.lag("GetRecords", shard_id))
        answer = _records(shard, found, following, now)
        if "ChildShards" not in answer:
            answer["NextShardIterator"] = _seal("iterator", name, created, shard_id, following, now)
        return answer

    # Consumers

    def _register_consumer(self, request: Answer, now: int) -> Answer:
        stream = self._active("RegisterStreamConsumer", request, now)
        consumer = stream.consumers.register(request["ConsumerName"], now, now + self._transition)
        return {"Consumer": _consumer(consumer, now)}

    def _describe_consumer(self, request: Answer, now: int) -> Answer:
        stream, consumer = self._named_consumer("DescribeStreamConsumer", request, now)
        return {"ConsumerDescription": {**_consumer(consumer, now), "StreamARN": stream.arn}}

    def _list_consumers(self, request: Answer, now: int) -> Answer:
        stream = self._stream("ListStreamConsumers", request, now)
        created, after = request.get("StreamCreationTimestamp"), ""
        if created is not None and round(1000 * created) != stream.created:
            raise not_found(f"Stream {stream.name} under account {self._account} not found.")
        if "NextToken" in request:
            if created is not None:
                raise invalid("NextToken and StreamCreationTimestamp cannot be provided together.")
            of, after, issued = _unseal(request["NextToken"], "consumers", (int, str, int), "Invalid NextToken.")
            _require_fresh_token(issued, now)
            if of != stream.created:
                raise invalid("Invalid NextToken.")
        consumers = stream.consumers.after(after)
        page = consumers[: request.get("MaxResults", 100)]
        answer: Answer = {"Consumers": [_consumer(consumer, now) for consumer in page]}
        if len(page) < len(consumers):
            answer["NextToken"] = _seal("consumers", stream.created, page[-1].name, now)
        return answer

    def _deregister_consumer(self, request: Answer, now: int) -> Answer:
        stream, consumer = self._named_consumer("DeregisterStreamConsumer", request, now)
        stream.consumers.deregister(consumer, now + self._transition)
        stream.consumers.sweep(now)
        return {}

    def _named_consumer(self, operation: str, request: Answer, now: int) -> tuple[Stream, Consumer]:
        """The consumer that is meant by its ARN, or by its name and its stream's ARN, or by both."""
        arn = request.get("ConsumerARN")
        if arn is None:
            if "StreamARN" not in request or "ConsumerName" not in request:
                raise invalid("Either ConsumerARN, or StreamARN and ConsumerName should be provided.")
            stream = self._stream(operation, {"StreamARN": request["StreamARN"]}, now)
            return stream, stream.consumers.named(request["ConsumerName"])
        stream, consumer = self._consumer(arn)
        if request.get("StreamARN", stream.arn) != stream.arn or request.get("ConsumerName", consumer.name) != (
            consumer.name
        ):
            raise invalid(f"ConsumerARN {arn}, StreamARN and ConsumerName must refer to the same consumer.")
        self._strike(operation, None, f"stream {stream.name} under account {self._account}")
        return stream, consumer

    def _consumer(self, arn: str) -> tuple[Stream, Consumer]:
        """The consumer with this ARN, and its stream. Raises KinesisError if there is none."""
        stream_arn, _, rest = arn.partition("/consumer/")
        stream = self._streams.get(stream_arn.partition(":stream/")[2])
        name = rest.rpartition(":")[0]
        if stream is not None and stream.arn == stream_arn:
            consumer = stream.consumers.named(name)
            if consumer.arn == arn:
                return stream, consumer
        raise not_found(f"Consumer {name}, account {arn.split(':')[4]} not found.")

    # Which stream is meant, and whether it is in the right state

    def _stream(self, operation: str, request: Answer, now: int) -> Stream:
        name: Any = request.get("StreamName")
        arn: str | None = request.get("StreamARN")
        if name is None and arn is None:
            raise invalid("Either StreamARN or StreamName should be provided.")
        named: str = arn.partition(":stream/")[2] if arn is not None else name
        if name not in (None, named):
            raise invalid(f"StreamName {name} and StreamARN {arn} must refer to the same stream.")
        stream = self._streams.get(named)
        if stream is None or arn not in (None, stream.arn):
            account = arn.split(":")[4] if arn is not None else self._account
            raise not_found(f"Stream {named} under account {account} not found.")
        if operation not in DATA_OPERATIONS:  # they are struck when the shard is known
            self._strike(operation, None, f"stream {named} under account {self._account}")
        return stream

    def _readable(self, operation: str, request: Answer, now: int) -> Stream:
        stream = self._stream(operation, request, now)
        if stream.status(now) == "CREATING":
            raise not_found(f"Stream {stream.name} under account {self._account} not found.")
        return stream

    def _active(self, operation: str, request: Answer, now: int) -> Stream:
        stream = self._stream(operation, request, now)
        status = stream.status(now)
        if status != "ACTIVE":
            raise in_use(f"Stream {stream.name} under account {self._account} not ACTIVE, instead in state {status}")
        return stream

    def _strike(
        self,
        operation: str,
        shard: Shard | None,
        subject: str,
        kinds: tuple[Kind, ...] = ("throttle", "fail", "expire"),
    ) -> None:
        error = self.faults.strike(operation, shard.id if shard else None, subject, kinds)
        if error:
            raise error

    def _sweep(self, now: int) -> None:
        """Remove what is deleted and, now and then, what has expired."""
        for stream in list(self._streams.values()):
            if stream.state == "DELETING" and now >= stream.busy_until:
                del self._streams[stream.name]
            stream.consumers.sweep(now)
        if now - self._swept >= 1000:
            self._swept = now
            for stream in self._streams.values():
                stream.expire(now)


def _valid(operation: str, request: Answer) -> Answer:
    """The members that are given. Raises KinesisError if they are not as described."""
    validate(REQUESTS[operation], request)
    return {name: value for name, value in request.items() if value is not None}


def _filtered(stream: Stream, wanted: Answer, now: int) -> list[Shard]:
    """The shards that a ShardFilter selects, in order."""
    kind = wanted.get("Type", "FROM_TRIM_HORIZON")
    shards = list(stream.shards.values())
    horizon = max(stream.created, now - stream.retention_hours * 3_600_000)
    if kind == "AFTER_SHARD_ID":
        if wanted.get("ShardId") is None:
            raise invalid("ShardFilter of type AFTER_SHARD_ID requires ShardId.")
        return [shard for shard in shards if shard.id > wanted["ShardId"]]
    if kind in ("AT_TIMESTAMP", "FROM_TIMESTAMP"):
        if wanted.get("Timestamp") is None:
            raise invalid(f"ShardFilter of type {kind} requires Timestamp.")
        horizon = max(horizon, round(1000 * wanted["Timestamp"]))
    if kind == "AT_LATEST":
        return [shard for shard in shards if shard.closed is None]
    if kind == "FROM_TRIM_HORIZON":
        return shards
    lasting = [shard for shard in shards if shard.closed is None or shard.closed >= horizon]
    return lasting if kind == "FROM_TIMESTAMP" else [shard for shard in lasting if shard.opened <= horizon]


def _description(stream: Stream, status: str) -> Answer:
    return {
        "StreamName": stream.name,
        "StreamARN": stream.arn,
        "StreamStatus": status,
        "StreamModeDetails": _mode(stream),
        "RetentionPeriodHours": stream.retention_hours,
        "StreamCreationTimestamp": stream.created / 1000,
        "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
        "EncryptionType": "NONE",
    }


def _mode(stream: Stream) -> Answer:
    return {"StreamMode": "ON_DEMAND" if stream.on_demand else "PROVISIONED"}


def _shard(shard: Shard) -> Answer:
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


def _records(shard: Shard, found: list[tuple[str, Stored]], following: int, now: int) -> Answer:
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


def _consumer(consumer: Consumer, now: int) -> Answer:
    return {
        "ConsumerName": consumer.name,
        "ConsumerARN": consumer.arn,
        "ConsumerStatus": consumer.status(now),
        "ConsumerCreationTimestamp": consumer.created / 1000,
    }


def _hash_keys(shard: Shard) -> Answer:
    first, last = shard.hash_keys
    return {"StartingHashKey": str(first), "EndingHashKey": str(last)}


@lru_cache(maxsize=65_536)
def _hash_key(partition_key: str) -> int:
    digest = hashlib.md5(partition_key.encode(errors="surrogatepass"), usedforsecurity=False).digest()
    return int.from_bytes(digest, "big")


def _subject(stream: Stream, shard: Shard) -> str:
    return f"shard {shard.id} in stream {stream.name} under account {stream.account}"


def _is_of(shard: Shard, sequence: int) -> bool:
    try:
        shard.after_sequence(sequence)
    except ValueError:
        return False
    return True


def _require_fresh_token(issued: int, now: int) -> None:
    if now - issued > LIFETIME:
        raise KinesisError(
            "ExpiredNextTokenException",
            f"NextToken expired. It was created at time {_date(issued)}, while right now it is {_date(now)}.",
        )


def _date(ms: int) -> str:
    return time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime(ms / 1000))


def _seal(kind: str, *values: Any) -> str:
    """An opaque token: clients can only hand it back."""
    return base64.b64encode(orjson.dumps([kind, *values])).decode()


def _unseal(token: str, kind: str, types: tuple[type, ...], complaint: str) -> list[Any]:
    """The values of a token. Raises KinesisError if it is none of ours."""
    values: list[Any]
    try:
        found, *values = orjson.loads(binascii.a2b_base64(token, strict_mode=True))
    except (ValueError, TypeError):  # not ASCII, not base64, not JSON, not a list, or an empty one
        raise invalid(complaint) from None
    if found != kind or tuple(map(type, values)) != types:
        raise invalid(complaint)
    return values
