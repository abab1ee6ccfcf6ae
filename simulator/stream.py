"""A local stream that speaks the Kinesis JSON API over HTTP.

``async with LocalStream() as stream:`` listens on loopback; point any AWS SDK at ``stream.endpoint_url``. ``knobs``
make it throttle, expire iterators, lag or fail. Where it differs from AWS: see ``simulator.shards``; signatures are not
checked, and the speed limits of a shard hold only when ``knobs`` say so.
"""

from __future__ import annotations

import base64
import binascii
import random
import re
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import orjson
from aiohttp import web

from simulator.shards import (
    ITERATOR_SECONDS,
    MAX_HASH,
    MAX_KEY_LENGTH,
    MAX_READ_RECORDS,
    RECORD_BYTES,
    KinesisError,
    Shard,
    Stream,
    invalid,
)

REGION, ACCOUNT = "us-east-1", "000000000000"
PUT_RECORDS, PUT_BYTES = 500, 5 * 1024 * 1024
_CONTENT_TYPE = "application/x-amz-json-1.1"
_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,128}")

Request = dict[str, Any]
Answer = dict[str, Any]


@dataclass(slots=True)
class Knobs:
    """Trouble to make.

    Attributes:
        throttle: share of GetRecords calls and of put records that are throttled, 0 to 1.
        fail: share of all calls that end in an internal failure, 0 to 1.
        expire: when true, every iterator handed out so far has expired; resets itself.
        lag: seconds that a record stays invisible to readers.
    """

    throttle: float = 0.0
    fail: float = 0.0
    expire: bool = False
    lag: float = 0.0


class LocalStream:
    """The server. Records live in memory for their stream's retention, 24 hours unless changed."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        clock: Callable[[], float] = time.time,
        seed: int = 0,
        knobs: Knobs | None = None,
    ) -> None:
        self.host, self.port = host, port
        self.knobs = knobs or Knobs()
        self.streams: dict[str, Stream] = {}
        self._clock = clock
        self._random = random.Random(seed)
        self._expired_before = 0.0
        self._runner: web.AppRunner | None = None
        self._actions: dict[str, Callable[[Request], Answer | None]] = {
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
        }

    # Server

    @property
    def endpoint_url(self) -> str:
        """Where clients find it."""
        return f"http://{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        """Listen."""
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_post("/", self._handle)
        app.router.add_post("/knobs", self._turn_knobs)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening."""
        if self._runner:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        target = request.headers.get("X-Amz-Target", "")
        try:
            answer = self.call(target.removeprefix("Kinesis_20131202."), _parse(body))
        except KinesisError as error:
            text = orjson.dumps({"__type": error.kind, "message": error.message})
            return web.Response(body=text, status=error.status, content_type=_CONTENT_TYPE)
        return web.Response(body=b"" if answer is None else orjson.dumps(answer), content_type=_CONTENT_TYPE)

    async def _turn_knobs(self, request: web.Request) -> web.Response:
        """POST /knobs {"throttle": 0.5}: for tests whose stream is another process."""
        for name, value in (await request.json()).items():
            if not hasattr(self.knobs, name):
                return web.Response(status=400, text=f"{name}: no such knob; there are throttle, fail, expire and lag")
            setattr(self.knobs, name, value)
        return web.Response()

    def call(self, action: str, request: Request) -> Answer | None:
        """One API call, without HTTP. Raises KinesisError."""
        handler = self._actions.get(action)
        if handler is None:
            raise KinesisError("UnknownOperationException", f"{action or 'no operation'}: not offered by this stream")
        if self.knobs.expire:
            self.knobs.expire, self._expired_before = False, self._clock()
        if self._happens(self.knobs.fail):
            raise KinesisError("InternalFailure", "Internal service failure.", 500)
        return handler(request)

    # Streams

    def _create_stream(self, request: Request) -> None:
        name = _text(request, "StreamName")
        if not _NAME.fullmatch(name):
            raise _validation("streamName", name, "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
        if name in self.streams:
            message = f"Stream {name} under account {ACCOUNT} already exists."
            raise KinesisError("ResourceInUseException", message)
        shards = _integer(request, "ShardCount", 1, 10_000, 1)
        arn = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{name}"
        self.streams[name] = Stream(name, arn, shards, self._clock)

    def _delete_stream(self, request: Request) -> None:
        del self.streams[self._stream(request).name]

    def _list_streams(self, request: Request) -> Answer:
        after = request.get("ExclusiveStartStreamName") or request.get("NextToken") or ""
        limit = _integer(request, "Limit", 1, 10_000, 100)
        names = sorted(name for name in self.streams if name > after)
        more = len(names) > limit
        summaries = [
            {
                "StreamName": name,
                "StreamARN": self.streams[name].arn,
                "StreamStatus": "ACTIVE",
                "StreamCreationTimestamp": self.streams[name].created,
            }
            for name in names[:limit]
        ]
        answer: Answer = {"StreamNames": names[:limit], "StreamSummaries": summaries, "HasMoreStreams": more}
        return answer | ({"NextToken": names[limit - 1]} if more else {})

    def _describe_stream(self, request: Request) -> Answer:
        stream = self._stream(request)
        limit = _integer(request, "Limit", 1, 10_000, 100)
        shards = _after(stream.shards, request.get("ExclusiveStartShardId"))
        description = self._summary(stream) | {
            "Shards": [_describe(shard) for shard in shards[:limit]],
            "HasMoreShards": len(shards) > limit,
        }
        return {"StreamDescription": description}

    def _describe_stream_summary(self, request: Request) -> Answer:
        stream = self._stream(request)
        count = sum(1 for _ in stream.open_shards())
        return {"StreamDescriptionSummary": self._summary(stream) | {"OpenShardCount": count, "ConsumerCount": 0}}

    def _summary(self, stream: Stream) -> Answer:
        return {
            "StreamName": stream.name,
            "StreamARN": stream.arn,
            "StreamStatus": "ACTIVE",
            "StreamModeDetails": {"StreamMode": "PROVISIONED"},
            "RetentionPeriodHours": stream.retention_hours,
            "StreamCreationTimestamp": stream.created,
            "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
            "EncryptionType": "NONE",
        }

    def _increase_retention(self, request: Request) -> None:
        stream, hours = self._stream(request), _integer(request, "RetentionPeriodHours", 24, 8760)
        if hours < stream.retention_hours:
            raise invalid(
                f"Requested retention period ({hours} hours) for stream {stream.name} can not be shorter than "
                f"existing retention period ({stream.retention_hours} hours). Use DecreaseRetentionPeriod API."
            )
        stream.retention_hours = hours

    def _decrease_retention(self, request: Request) -> None:
        stream, hours = self._stream(request), _integer(request, "RetentionPeriodHours", 24, 8760)
        if hours > stream.retention_hours:
            raise invalid(
                f"Requested retention period ({hours} hours) for stream {stream.name} can not be longer than "
                f"existing retention period ({stream.retention_hours} hours). Use IncreaseRetentionPeriod API."
            )
        stream.retention_hours = hours
        stream.trim(self._clock())

    # Shards

    def _list_shards(self, request: Request) -> Answer:
        token = request.get("NextToken")
        if token is not None:
            if request.get("StreamName") or request.get("StreamARN"):
                raise invalid("NextToken and StreamName cannot be provided together.")
            request = _open_token(token, "ListShards") | {"MaxResults": request.get("MaxResults")}
        stream = self._stream(request)
        limit = _integer(request, "MaxResults", 1, 10_000, 1000)
        shards = _after(self._filtered(stream, request.get("ShardFilter")), request.get("ExclusiveStartShardId"))
        answer: Answer = {"Shards": [_describe(shard) for shard in shards[:limit]]}
        if len(shards) > limit:
            rest = {"StreamName": stream.name, "ExclusiveStartShardId": shards[limit - 1].id}
            answer["NextToken"] = _token("ListShards", rest | {"ShardFilter": request.get("ShardFilter")})
        return answer

    def _filtered(self, stream: Stream, wanted: Mapping[str, Any] | None) -> list[Shard]:
        if not wanted:
            return stream.shards
        kind = wanted.get("Type")
        if kind == "AT_LATEST":
            return list(stream.open_shards())
        if kind == "AFTER_SHARD_ID":
            return _after(stream.shards, wanted.get("ShardId"))
        if kind in ("AT_TRIM_HORIZON", "FROM_TRIM_HORIZON"):
            moment = self._clock() - stream.retention_hours * 3600
        elif kind in ("AT_TIMESTAMP", "FROM_TIMESTAMP"):
            moment = float(wanted["Timestamp"])
        else:
            raise _validation("shardFilter.type", str(kind), "Member must satisfy enum value set")
        alive = [shard for shard in stream.shards if shard.closed is None or shard.closed >= moment]
        if kind.startswith("FROM"):
            return alive
        return [shard for shard in alive if shard.created <= max(moment, stream.created)]

    def _split_shard(self, request: Request) -> None:
        stream = self._stream(request)
        stream.split(_text(request, "ShardToSplit"), _hash_key(request, "NewStartingHashKey"))

    def _merge_shards(self, request: Request) -> None:
        self._stream(request).merge(_text(request, "ShardToMerge"), _text(request, "AdjacentShardToMerge"))

    def _update_shard_count(self, request: Request) -> Answer:
        stream = self._stream(request)
        before = sum(1 for _ in stream.open_shards())
        target = _integer(request, "TargetShardCount", 1, 10_000)
        if target > 2 * before or 2 * target < before:
            raise KinesisError(
                "LimitExceededException",
                f"UpdateShardCount cannot go from {before} open shards to "
                f"{target}: more than double or less than half.",
            )
        stream.resize(target)
        return {
            "StreamName": stream.name,
            "StreamARN": stream.arn,
            "CurrentShardCount": before,
            "TargetShardCount": target,
        }

    # Reading

    def _get_shard_iterator(self, request: Request) -> Answer:
        stream = self._stream(request)
        shard = stream.shard(_text(request, "ShardId"))
        kind = _text(request, "ShardIteratorType")
        newest = shard.records[-1].sequence if shard.records else shard.first
        if kind == "TRIM_HORIZON":
            after = 0
        elif kind == "LATEST":
            after = newest
        elif kind == "AT_TIMESTAMP":
            if request.get("Timestamp") is None:
                raise invalid("Timestamp parameter cannot be null when the ShardIteratorType is AT_TIMESTAMP.")
            place = shard.index_at(float(request["Timestamp"]))
            after = shard.records[place].sequence - 1 if place < len(shard.records) else newest
        elif kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
            text = request.get("StartingSequenceNumber") or ""
            if not text.isdecimal():
                raise invalid(
                    f"StartingSequenceNumber {text} used in GetShardIterator on shard {shard.id} in stream "
                    f"{stream.name} under account {ACCOUNT} is invalid."
                )
            after = int(text) - (kind == "AT_SEQUENCE_NUMBER")
        else:
            raise _validation(
                "shardIteratorType",
                kind,
                "Member must satisfy enum value set: [AFTER_SEQUENCE_NUMBER, "
                "LATEST, AT_TIMESTAMP, AT_SEQUENCE_NUMBER, TRIM_HORIZON]",
            )
        return {"ShardIterator": self._iterator(stream, shard, after)}

    def _get_records(self, request: Request) -> Answer:
        limit = _integer(request, "Limit", 1, MAX_READ_RECORDS, MAX_READ_RECORDS)
        place = _open_token(_text(request, "ShardIterator"), "iterator")
        issued = place["issued"]
        if issued <= self._expired_before or self._clock() - issued > ITERATOR_SECONDS:
            raise KinesisError(
                "ExpiredIteratorException",
                "Iterator expired. The iterator was created at time "
                f"{_date(issued)} while right now it is {_date(self._clock())} which is further in the "
                f"future than the tolerated delay of {ITERATOR_SECONDS * 1000} milliseconds.",
            )
        stream = self.streams.get(place["stream"])
        if stream is None:
            raise _no_stream(place["stream"])
        if self._happens(self.knobs.throttle):
            raise KinesisError(
                "ProvisionedThroughputExceededException",
                f"Rate exceeded for shard {place['shard']} in stream {stream.name} under account {ACCOUNT}.",
            )
        shard = stream.shard(place["shard"])
        records, last, ended, behind = stream.read(shard, int(place["after"]), limit)
        if self.knobs.lag:
            seen = self._clock() - self.knobs.lag
            visible = [record for record in records if record.arrival <= seen]
            if len(visible) < len(records):
                last, ended = visible[-1].sequence if visible else int(place["after"]), False
                behind = self._clock() - records[len(visible)].arrival
            records = visible
        answer: Answer = {
            "Records": [
                {
                    "SequenceNumber": str(record.sequence),
                    "ApproximateArrivalTimestamp": round(record.arrival, 3),
                    "Data": record.data,
                    "PartitionKey": record.key,
                }
                for record in records
            ],
            "MillisBehindLatest": round(behind * 1000),
        }
        if ended:
            answer["ChildShards"] = [
                {"ShardId": child.id, "ParentShards": list(child.parents), "HashKeyRange": _range(child)}
                for child in stream.children(shard.id)
            ]
        else:
            answer["NextShardIterator"] = self._iterator(stream, shard, last)
        return answer

    def _iterator(self, stream: Stream, shard: Shard, after: int) -> str:
        return _token(
            "iterator", {"stream": stream.name, "shard": shard.id, "after": str(after), "issued": self._clock()}
        )

    # Writing

    def _put_record(self, request: Request) -> Answer:
        stream = self._stream(request)
        if self._happens(self.knobs.throttle):
            raise KinesisError("ProvisionedThroughputExceededException", _throttled(stream))
        key, data, size, explicit = _entry(request)
        shard, sequence = stream.put(key, data, size, explicit)
        return {"ShardId": shard.id, "SequenceNumber": str(sequence), "EncryptionType": "NONE"}

    def _put_records(self, request: Request) -> Answer:
        stream = self._stream(request)
        records = request.get("Records")
        if not isinstance(records, list) or not 1 <= len(records) <= PUT_RECORDS:
            count = len(records) if isinstance(records, list) else "null"
            raise _validation("records", f"{count} records", f"Member must have length between 1 and {PUT_RECORDS}")
        entries = [_entry(record) for record in records]
        if sum(size for _, _, size, _ in entries) > PUT_BYTES:
            raise invalid(f"Records size exceeds {PUT_BYTES // 1024 // 1024} MB limit")
        results: list[Answer] = []
        failed = 0
        for key, data, size, explicit in entries:
            if self.knobs.throttle and self._happens(self.knobs.throttle):
                failed += 1
                results.append(
                    {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": _throttled(stream)}
                )
            else:
                shard, sequence = stream.put(key, data, size, explicit)
                results.append({"SequenceNumber": str(sequence), "ShardId": shard.id})
        return {"FailedRecordCount": failed, "Records": results, "EncryptionType": "NONE"}

    def _stream(self, request: Request) -> Stream:
        name = request.get("StreamName")
        if arn := request.get("StreamARN"):
            name = str(arn).rpartition("/")[2]
        if not name:
            raise invalid("Either StreamName or StreamARN must be provided.")
        if name not in self.streams:
            raise _no_stream(name)
        return self.streams[name]

    def _happens(self, share: float) -> bool:
        return share > 0 and self._random.random() < share


# What requests hold


def _parse(body: bytes) -> Request:
    try:
        request = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise KinesisError("SerializationException", str(error)) from None
    if not isinstance(request, dict):
        raise KinesisError("SerializationException", "Start of structure or map found where not expected.")
    return request


def _text(request: Request, name: str) -> str:
    value = request.get(name)
    if not isinstance(value, str) or not value:
        raise _validation(name[0].lower() + name[1:], "null", "Member must not be null")
    return value


def _integer(request: Request, name: str, low: int, high: int, usual: int | None = None) -> int:
    value = request.get(name)
    value = usual if value is None else value
    member = name[0].lower() + name[1:]
    if not isinstance(value, int):
        raise _validation(member, "null", "Member must not be null")
    if value < low:
        raise _validation(member, str(value), f"Member must have value greater than or equal to {low}")
    if value > high:
        raise _validation(member, str(value), f"Member must have value less than or equal to {high}")
    return value


def _hash_key(request: Request, name: str) -> int:
    text = _text(request, name)
    if not text.isdecimal() or int(text) > MAX_HASH:
        raise invalid(f"Invalid {name}. {name} must be in the range: [0, 2^128-1]. Specified value was {text}")
    return int(text)


def _entry(record: Request) -> tuple[str, str, int, int | None]:
    """(key, base64 data, size in bytes, explicit hash key) of a record to put."""
    key, data = _text(record, "PartitionKey"), record.get("Data")
    if len(key) > MAX_KEY_LENGTH:
        raise _validation("partitionKey", key, f"Member must have length less than or equal to {MAX_KEY_LENGTH}")
    if not isinstance(data, str):
        raise _validation("data", "null", "Member must not be null")
    size = len(data) // 4 * 3 - data.count("=", -2) + len(key.encode())
    if size > RECORD_BYTES + MAX_KEY_LENGTH:
        raise _validation(
            "data", "java.nio.HeapByteBuffer", f"Member must have length less than or equal to {RECORD_BYTES}"
        )
    if len(data) % 4:
        raise KinesisError("SerializationException", "Data is not base64.")
    explicit = _hash_key(record, "ExplicitHashKey") if record.get("ExplicitHashKey") is not None else None
    return key, data, size, explicit


# What answers hold


def _describe(shard: Shard) -> Answer:
    sequences = {"StartingSequenceNumber": str(shard.first)}
    if shard.last is not None:
        sequences["EndingSequenceNumber"] = str(shard.last)
    parents = dict(zip(("ParentShardId", "AdjacentParentShardId"), shard.parents, strict=False))
    return {"ShardId": shard.id, "HashKeyRange": _range(shard), "SequenceNumberRange": sequences, **parents}


def _range(shard: Shard) -> Answer:
    return {"StartingHashKey": str(shard.start), "EndingHashKey": str(shard.end)}


def _after(shards: list[Shard], shard_id: str | None) -> list[Shard]:
    return [shard for shard in shards if shard.id > shard_id] if shard_id else shards


def _token(kind: str, content: Answer) -> str:
    """An opaque string that ``_open_token`` reads, with a checksum, so that damage is noticed."""
    body = orjson.dumps({"kind": kind, **content})
    return base64.b64encode(zlib.crc32(body).to_bytes(4, "big") + body).decode()


def _open_token(token: str, kind: str) -> Answer:
    try:
        raw = base64.b64decode(token, validate=True)
        content: Answer = orjson.loads(raw[4:])
        if zlib.crc32(raw[4:]) == int.from_bytes(raw[:4], "big") and content.pop("kind") == kind:
            return content
    except (binascii.Error, orjson.JSONDecodeError, AttributeError, KeyError):
        pass
    raise invalid("Invalid ShardIterator." if kind == "iterator" else "NextToken is invalid.")


def _validation(member: str, value: str, constraint: str) -> KinesisError:
    message = f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {constraint}"
    return KinesisError("ValidationException", message)


def _no_stream(name: str) -> KinesisError:
    return KinesisError("ResourceNotFoundException", f"Stream {name} under account {ACCOUNT} not found.")


def _throttled(stream: Stream) -> str:
    return f"Rate exceeded for shard in stream {stream.name} under account {ACCOUNT}."


def _date(seconds: float) -> str:
    return time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime(seconds))
