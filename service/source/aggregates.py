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
_VARINT_BYTES = 10  # that 64 bits take
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # protobuf's wire types


def user_records(record: Record, hash_keys: HashKeys) -> list[Record]:
    """The user records of an aggregate, numbered from 0; any other record alone, as it is.

    A user record whose hash key is not the shard's is marked ``other_shard``: its sensor's readings are elsewhere.

    Args:
        record: as Kinesis delivered it. What only looks like an aggregate (its MD5 or its form is wrong) is a plain
            record.
        hash_keys: first and last of the record's shard.
    """
    if not record.data.startswith(MAGIC):
        return [record]
    message = record.data[len(MAGIC) : -_DIGEST]
    if hashlib.md5(message, usedforsecurity=False).digest() != record.data[-_DIGEST:]:
        return [record]
    try:
        return _unpack(record, message, hash_keys)
    except (LookupError, ValueError):  # no protobuf after all
        return [record]


def _unpack(record: Record, message: bytes, hash_keys: HashKeys) -> list[Record]:
    """Raises LookupError or ValueError if the message is broken."""
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
        key, place = fields.get(1, 0), fields.get(2)  # an encoder may leave out what is 0 or empty
        if not isinstance(key, int) or not isinstance(place, int | None):
            raise ValueError("bytes where an index belongs")
        other_shard = not (ours[key] if place is None else ours_explicit[place])
        data = _bytes(fields.get(3, b""))
        found.append(Record(Position(sequence, subsequence), keys[key], arrival, data, other_shard))
    return found


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
    """An integer of seven bits a byte, the lowest first, and the place behind it. Raises IndexError or ValueError."""
    byte = message[at]
    if byte < 128:
        return byte, at + 1
    value = 0
    for shift in range(0, 7 * _VARINT_BYTES, 7):
        byte = message[at]
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value, at
    raise ValueError(f"an integer of more than {_VARINT_BYTES} bytes")


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("an integer where bytes belong")
    return value
