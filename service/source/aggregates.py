"""Aggregated records of the Kinesis Producer Library, taken apart into its user records.

An aggregate is a magic number, a protobuf message and the message's MD5::

    message AggregatedRecord {
        repeated string partition_key_table = 1;
        repeated string explicit_hash_key_table = 2;
        repeated Record records = 3;  // {1: index of its partition key, 2: of its explicit hash key, 3: data, 4: tags}
    }

Source: aggregation-format.md of the Kinesis Producer Library.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from service.pipeline.models import hash_key
from service.pipeline.records import HashKeys, Position, Record

MAGIC = b"\xf3\x89\x9a\xc2"
_DIGEST = 16
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # protobuf's wire types


def user_records(record: Record, hash_keys: HashKeys) -> tuple[list[Record], int]:
    """The user records of an aggregate, numbered from 0; any other record alone, as it is.

    A user record whose hash key is not the shard's is left out, and counted: the library puts an aggregate by the
    shards it knew, and after a resharding it puts again what landed in the wrong one.

    Args:
        record: as Kinesis delivered it. What only looks like an aggregate (its MD5 is wrong) is a plain record.
        hash_keys: first and last of the record's shard.

    Returns:
        The records, and how many were left out.
    """
    if not record.data.startswith(MAGIC):
        return [record], 0
    message = record.data[len(MAGIC) : -_DIGEST]
    if hashlib.md5(message, usedforsecurity=False).digest() != record.data[-_DIGEST:]:
        return [record], 0
    try:
        return _unpack(record, message, hash_keys)
    except (IndexError, ValueError):  # no protobuf after all
        return [record], 0


def _unpack(record: Record, message: bytes, hash_keys: HashKeys) -> tuple[list[Record], int]:
    """Raises IndexError or ValueError if the message is broken."""
    keys: list[str] = []
    explicit: list[int] = []
    parts: list[bytes] = []
    for number, value in _fields(message):
        if number == 1:
            keys.append(_bytes(value).decode())
        elif number == 2:
            explicit.append(int(_bytes(value)))
        elif number == 3:
            parts.append(_bytes(value))
    if not parts:
        raise ValueError("nothing in it")
    first, last = hash_keys
    ours = [first <= hash_key(key) <= last for key in keys]
    ours_explicit = [first <= key <= last for key in explicit]
    sequence, arrival = record.position.sequence, record.arrival
    found: list[Record] = []
    for subsequence, part in enumerate(parts):
        fields = dict(_fields(part))
        key, place = fields[1], fields.get(2)
        if not isinstance(key, int) or not isinstance(place, int | None) or 3 not in fields:
            raise ValueError("a user record without a partition key or data")
        if ours[key] if place is None else ours_explicit[place]:
            found.append(Record(Position(sequence, subsequence), keys[key], arrival, _bytes(fields[3])))
    return found, len(parts) - len(found)


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """A protobuf message's fields: their numbers, and integers or bytes. Raises IndexError or ValueError."""
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        if kind == _BYTES:
            size, at = _varint(message, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind}")
        start, at = at, at + size
        if at > end:
            raise ValueError("the message ends within a field")
        yield tag >> 3, message[start:at]


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """An integer of seven bits a byte, the lowest first, and the place behind it."""
    byte = message[at]
    if byte < 128:
        return byte, at + 1
    value = shift = 0
    while byte >= 128:
        value |= (byte & 127) << shift
        shift, at = shift + 7, at + 1
        byte = message[at]
    return value | byte << shift, at + 1


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("an integer where bytes belong")
    return value
