"""Records that no worker may stumble over: what broke decoders of streams, ours among them."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib

MAGIC = b"\xf3\x89\x9a\xc2"


def aggregate(message: bytes) -> bytes:
    """What passes for an aggregate of the Kinesis Producer Library: its checksum is right, whatever it holds."""
    return MAGIC + message + hashlib.md5(message, usedforsecurity=False).digest()


def field(number: int, body: bytes) -> bytes:
    """A field of bytes in a protobuf message, shorter than 128 bytes."""
    return bytes([number << 3 | 2, len(body)]) + body


def reading(**changes: object) -> bytes:
    """A reading that would be an ordinary one, but for the changes."""
    body = {"iotName": "poison", "iotValue": 15, "iotTime": "2026-01-01T00:00:00Z"} | changes
    return json.dumps(body).encode()


_DEEP = b"[" * 100_000
POISON: tuple[bytes, ...] = (
    b"junk",
    b"",
    _DEEP,
    b'{"iotName": "deep", "iotValue": 9223372036854775808, "more": ' + b"[" * 1000 + b"]" * 1000 + b"}",
    reading(iotValue=10**70),
    reading(iotValue="1e999"),
    b'{"iotName": "poison", "iotValue": 1e999}',
    b'{"iotName": "poison", "iotValue": NaN}',
    reading(iotName="x" * 20_000),
    b'{"iotName": "\\ud800", "iotValue": 1}',
    reading(iotTime="9" * 400),
    reading(iotTime="99999-99-99T99:99:99Z"),
    json.dumps({"iotName": {}, "iotValue": []}).encode(),
    bytes(range(256)),
    gzip.compress(b"[" + b"0," * 20_000_000 + b"0]"),
    zlib.compress(b" " * 50_000_000),
    gzip.compress(gzip.compress(b"junk")),
    gzip.compress(b"cut off")[:-9],
    aggregate(b""),
    aggregate(field(1, b"key")),
    aggregate(field(3, field(3, b"no partition key in the table"))),
    aggregate(field(1, b"key") + field(3, b"\x08\x63" + field(3, b"index out of range"))),
    aggregate(field(1, b"\xff\xfe") + field(3, b"\x08\x00" + field(3, b"a key that is no text"))),
    aggregate(field(1, b"key") + field(3, b"\x08" + b"\xff" * 100)),
    aggregate(b"\x1a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
    MAGIC + b"an aggregate with a wrong checksum",
)
