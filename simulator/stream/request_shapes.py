"""What the members of a request must look like, and how AWS words it when they don't.

A wrong JSON type is a SerializationException. Everything else that a member's description forbids is collected and
answered with one ValidationException.

Source: the API reference of Kinesis Data Streams, "Request Parameters" of each action.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from simulator.stream.errors import KinesisError

MAX_RECORD_BYTES = 10 * 1024 * 1024  # of any stream; a stream's own limit is 1 MiB unless it was created with more


class Member(Protocol):
    """One member of a request."""

    def check(self, value: Any, path: str, problems: list[str]) -> None:
        """Append to ``problems`` what is wrong with the value. Raises KinesisError if its JSON type is wrong."""


@dataclass(frozen=True)
class Text:
    """A string, by its length in characters, a pattern, or the values allowed."""

    least: int = 0
    most: int | None = None
    pattern: re.Pattern[str] | None = None
    choices: tuple[str, ...] = ()

    def check(self, value: Any, path: str, problems: list[str]) -> None:
        """See Member."""
        if not isinstance(value, str):
            raise _wrong_type(value, "a String")
        if len(value) < self.least:
            _add(problems, path, value, f"Member must have length greater than or equal to {self.least}")
        if self.most is not None and len(value) > self.most:
            _add(problems, path, value, f"Member must have length less than or equal to {self.most}")
        if self.pattern and not self.pattern.fullmatch(value):
            _add(problems, path, value, f"Member must satisfy regular expression pattern: {self.pattern.pattern}")
        if self.choices and value not in self.choices:
            _add(problems, path, value, f"Member must satisfy enum value set: [{', '.join(self.choices)}]")


@dataclass(frozen=True)
class Number:
    """An integer and its bounds."""

    least: int
    most: int

    def check(self, value: Any, path: str, problems: list[str]) -> None:
        """See Member."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong_type(value, "an Integer")
        if value < self.least:
            _add(problems, path, value, f"Member must have value greater than or equal to {self.least}")
        if value > self.most:
            _add(problems, path, value, f"Member must have value less than or equal to {self.most}")


@dataclass(frozen=True)
class Moment:
    """A time, in seconds since 1970."""

    def check(self, value: Any, path: str, problems: list[str]) -> None:
        """See Member."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong_type(value, "milliseconds since epoch")


@dataclass(frozen=True)
class Flag:
    """A boolean."""

    def check(self, value: Any, path: str, problems: list[str]) -> None:
        """See Member."""
        if not isinstance(value, bool):
            raise _wrong_type(value, "a Boolean")


@dataclass(frozen=True)
class Blob:
    """Bytes in base64, by their number."""

    most: int

    def check(self, value: Any, path: str, problems: list[str]) -> None:
        """See Member."""
        if not isinstance(value, str):
            raise _wrong_type(value, "a Blob")
        size = len(decode_blob(value))
        if size > self.most:
            buffer = f"java.nio.HeapByteBuffer[pos=0 lim={size} cap={size}]"
            _add(problems, path, buffer, f"Member must have length less than or equal to {self.most}")


@dataclass(frozen=True)
class Structure:
    """An object with named members; others are ignored, as AWS does."""

    members: Mapping[str, Member]
    required: tuple[str, ...] = ()

    def check(self, value: Any, path: str, problems: list[str]) -> None:
        """See Member."""
        if not isinstance(value, dict):
            raise _wrong_type(value, "a Structure")
        for name, member in self.members.items():
            place = f"{path}.{_lower(name)}" if path else _lower(name)
            found = value.get(name)
            if found is not None:
                member.check(found, place, problems)
            elif name in self.required:
                problems.append(f"Value null at '{place}' failed to satisfy constraint: Member must not be null")


@dataclass(frozen=True)
class Items:
    """A list, by its length."""

    of: Member
    least: int
    most: int
    path: str = field(default="member", init=False)

    def check(self, value: Any, path: str, problems: list[str]) -> None:
        """See Member."""
        if not isinstance(value, list):
            raise _wrong_type(value, "a List")
        if len(value) < self.least:
            _add(problems, path, "[]", f"Member must have length greater than or equal to {self.least}")
        if len(value) > self.most:
            _add(problems, path, f"[{len(value)} items]", f"Member must have length less than or equal to {self.most}")
        for number, item in enumerate(value, start=1):
            self.of.check(item, f"{path}.{number}.{self.path}", problems)


def validate(shape: Structure, request: dict[str, Any]) -> None:
    """Raises KinesisError: SerializationException or ValidationException."""
    problems: list[str] = []
    shape.check(request, "", problems)
    if problems:
        count = f"{len(problems)} validation error{'s' if len(problems) > 1 else ''} detected: "
        raise KinesisError("ValidationException", count + "; ".join(problems[:10]))


def decode_blob(text: str) -> bytes:
    """The bytes of a blob. Raises KinesisError (SerializationException) if it is not base64."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:  # binascii.Error, or text that is not ASCII
        raise KinesisError("SerializationException", f"STRING_VALUE can not be converted to a Blob: {error}") from None


def _wrong_type(value: Any, wanted: str) -> KinesisError:
    given = {bool: "BOOLEAN", int: "NUMBER", float: "NUMBER", str: "STRING", list: "LIST", dict: "STRUCTURE"}
    return KinesisError("SerializationException", f"{given[type(value)]}_VALUE can not be converted to {wanted}")


def _add(problems: list[str], path: str, value: object, rule: str) -> None:
    problems.append(f"Value '{value}' at '{path}' failed to satisfy constraint: {rule}")


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


_NAME = re.compile(r"[a-zA-Z0-9_.-]+")
_STREAM = {
    "StreamName": Text(1, 128, _NAME),
    "StreamARN": Text(1, 2048, re.compile(r"arn:aws.*:kinesis:.*:\d{12}:stream/\S+")),
}
_SHARD = Text(1, 128, _NAME)
_SEQUENCE = Text(pattern=re.compile(r"0|([1-9]\d{0,128})"))
_HASH_KEY = Text(pattern=re.compile(r"0|([1-9]\d{0,38})"))
_TOKEN = Text(1, 1_048_576)
_CONSUMER = {
    "StreamARN": _STREAM["StreamARN"],
    "ConsumerName": Text(1, 128, _NAME),
    "ConsumerARN": Text(
        1, 2048, re.compile(r"arn:aws.*:kinesis:.*:\d{12}:.*stream/[a-zA-Z0-9_.-]+/consumer/[a-zA-Z0-9_.-]+:[0-9]+")
    ),
}
_START = Text(choices=("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER", "TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"))
_SHARD_COUNT = Number(1, 1_000_000)
_RETENTION = Structure({**_STREAM, "RetentionPeriodHours": Number(-(2**31), 2**31 - 1)}, ("RetentionPeriodHours",))

ENTRY = Structure(
    {"Data": Blob(MAX_RECORD_BYTES), "PartitionKey": Text(1, 256), "ExplicitHashKey": _HASH_KEY},
    required=("Data", "PartitionKey"),
)

REQUESTS: dict[str, Structure] = {
    "CreateStream": Structure(
        {
            "StreamName": _STREAM["StreamName"],
            "ShardCount": _SHARD_COUNT,
            "StreamModeDetails": Structure(
                {"StreamMode": Text(choices=("PROVISIONED", "ON_DEMAND"))}, required=("StreamMode",)
            ),
            "MaxRecordSizeInKiB": Number(1024, MAX_RECORD_BYTES // 1024),
        },
        required=("StreamName",),
    ),
    "DeleteStream": Structure({**_STREAM, "EnforceConsumerDeletion": Flag()}),
    "ListStreams": Structure(
        {"Limit": Number(1, 10_000), "ExclusiveStartStreamName": _STREAM["StreamName"], "NextToken": _TOKEN}
    ),
    "DescribeStream": Structure({**_STREAM, "Limit": Number(1, 10_000), "ExclusiveStartShardId": _SHARD}),
    "DescribeStreamSummary": Structure(_STREAM),
    "ListShards": Structure(
        {
            **_STREAM,
            "NextToken": _TOKEN,
            "ExclusiveStartShardId": _SHARD,
            "MaxResults": Number(1, 10_000),
            "StreamCreationTimestamp": Moment(),
            "ShardFilter": Structure(
                {
                    "Type": Text(
                        choices=(
                            "AFTER_SHARD_ID",
                            "AT_TRIM_HORIZON",
                            "FROM_TRIM_HORIZON",
                            "AT_LATEST",
                            "AT_TIMESTAMP",
                            "FROM_TIMESTAMP",
                        )
                    ),
                    "ShardId": _SHARD,
                    "Timestamp": Moment(),
                },
                required=("Type",),
            ),
        }
    ),
    "GetShardIterator": Structure(
        {
            **_STREAM,
            "ShardId": _SHARD,
            "ShardIteratorType": _START,
            "StartingSequenceNumber": _SEQUENCE,
            "Timestamp": Moment(),
        },
        required=("ShardId", "ShardIteratorType"),
    ),
    "GetRecords": Structure(
        {"ShardIterator": Text(1, 512), "Limit": Number(1, 2**31 - 1), "StreamARN": _STREAM["StreamARN"]},
        required=("ShardIterator",),
    ),
    "PutRecord": Structure(
        {**_STREAM, **ENTRY.members, "SequenceNumberForOrdering": _SEQUENCE}, required=ENTRY.required
    ),
    "PutRecords": Structure({**_STREAM, "Records": Items(ENTRY, 1, 500)}, required=("Records",)),
    "SplitShard": Structure(
        {**_STREAM, "ShardToSplit": _SHARD, "NewStartingHashKey": _HASH_KEY},
        required=("ShardToSplit", "NewStartingHashKey"),
    ),
    "MergeShards": Structure(
        {**_STREAM, "ShardToMerge": _SHARD, "AdjacentShardToMerge": _SHARD},
        required=("ShardToMerge", "AdjacentShardToMerge"),
    ),
    "UpdateShardCount": Structure(
        {**_STREAM, "TargetShardCount": _SHARD_COUNT, "ScalingType": Text(choices=("UNIFORM_SCALING",))},
        required=("TargetShardCount", "ScalingType"),
    ),
    "IncreaseStreamRetentionPeriod": _RETENTION,
    "DecreaseStreamRetentionPeriod": _RETENTION,
    "RegisterStreamConsumer": Structure(
        {"StreamARN": _CONSUMER["StreamARN"], "ConsumerName": _CONSUMER["ConsumerName"]},
        required=("StreamARN", "ConsumerName"),
    ),
    "DescribeStreamConsumer": Structure(_CONSUMER),
    "ListStreamConsumers": Structure(
        {
            "StreamARN": _CONSUMER["StreamARN"],
            "NextToken": _TOKEN,
            "MaxResults": Number(1, 10_000),
            "StreamCreationTimestamp": Moment(),
        },
        required=("StreamARN",),
    ),
    "DeregisterStreamConsumer": Structure(_CONSUMER),
    "SubscribeToShard": Structure(
        {
            "ConsumerARN": _CONSUMER["ConsumerARN"],
            "ShardId": _SHARD,
            "StartingPosition": Structure(
                {"Type": _START, "SequenceNumber": _SEQUENCE, "Timestamp": Moment()}, required=("Type",)
            ),
        },
        required=("ConsumerARN", "ShardId", "StartingPosition"),
    ),
}
