"""Arbitrary records through the source's and the decoder's way: ``python -m tests.fuzz_decode --count 1000000``.

Random bytes, mutated JSON in all the forms that records may have, mutated KPL aggregates, compressed garbage and bombs.
Prints a JSON object: how many records, exceptions (each with its record on standard error), and the slowest record.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import json
import random
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable

import zstandard

from service.pipeline.decode import Fields, JSONDecoder
from service.pipeline.records import ALL_HASH_KEYS, Position, Record
from service.source.aggregates import MAGIC, user_records

ARRIVAL = 1_795_746_600_000
USUAL = {"sensor": "iotName", "values": {"iotValue": "iotValue"}, "time": "iotTime", "max_future": 60_000}
DECODERS = [
    JSONDecoder(Fields(**USUAL)),
    JSONDecoder(
        Fields(
            "join('', [not_null($.a, ''), iotName])",
            {"v": "ceil(to_number(iotValue))", "w": "max(list)"},
            "sum(list)",
            labels={"label": "to_string(@)", "n": "to_number(iotName)"},
            numeric_text="accept",
            time_formats=["%d.%m.%Y %H:%M", "%d%m%y"],
            max_past=86_400_000,
        ),
        "list",
    ),
]
SCALARS = [
    *(None, True, 0, -1, 17, 2**53 + 1, 2**64, -(2**70), 10**60, 1e308, 5e-324, float("nan"), float("inf"), 20261127),
    *("", "nan", "23,8", "1e999", "x" * 300, "20261127T0230Z", "1970-01-01", "\0", "\ud800", 46027, ARRIVAL),
]
NAMES = ["iotName", "iotValue", "iotTime", "list", "a", "$", ""]
TOKENS = [*map(bytes, zip(b'{}[]",:\n\xff\x1e-\0')), b"\\u", b"1e", b"NaN", b"null"]


def value(chance: random.Random, levels: int = 3) -> object:
    """A JSON value that may be a reading."""
    kind = chance.random()
    if levels and kind < 0.45:
        return {chance.choice(NAMES): value(chance, levels - 1) for _ in range(chance.randrange(5))}
    if levels and kind < 0.6:
        return [value(chance, levels - 1) for _ in range(chance.randrange(4))]
    return chance.choice(SCALARS)


def reading(chance: random.Random) -> object:
    """An object that is a reading of the first or the second decoder, or nearly one."""
    fields: dict[str, object] = {"iotName": "s", "iotValue": chance.choice(("17", 17, 2.5)), "iotTime": ARRIVAL}
    if chance.random() < 0.5:
        fields["iotTime"] = "2026-11-27T02:30:00Z"
    if chance.random() < 0.3:
        fields[chance.choice(NAMES)] = value(chance, 1)
    if chance.random() < 0.5:
        return {"list": [{**fields, "list": [ARRIVAL]}] * chance.randrange(3), "a": "x", **fields}
    return fields


def text(chance: random.Random) -> bytes:
    """JSON in one of its forms."""
    values = [
        json.dumps(reading(chance) if chance.random() < 0.5 else value(chance)).encode()
        for _ in range(chance.choice((1, 1, 1, 2, 5)))
    ]
    return chance.choice((b"", b"\n", b",", b" ", b"\r\n")).join(values)


def mutated(chance: random.Random, data: bytes) -> bytes:
    """The bytes with some of them changed, cut off or repeated."""
    changed = bytearray(data)
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(changed) + 1)
        changed[at : at + chance.randrange(4)] = chance.choice((chance.randbytes(3), chance.choice(TOKENS), b""))
    return bytes(changed)


def varint(number: int) -> bytes:
    """As protobuf writes it."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def field(number: int, data: bytes) -> bytes:
    """A field of bytes."""
    return bytes([number << 3 | 2]) + varint(len(data)) + data


def aggregate(chance: random.Random) -> bytes:
    """An aggregate, mutated before it is signed."""
    message = b"".join(field(1, name) for name in (b"a", b"b")) + field(2, b"5")
    for _ in range(chance.randrange(5)):
        indices = chance.choice((b"", b"\x08\x01", b"\x08\x00\x10\x00", b"\x08" + b"\xff" * chance.randrange(1, 14)))
        message += field(3, indices + field(3, record(chance, aggregates=False)[:5000]))
    message = mutated(chance, message)
    return MAGIC + message + hashlib.md5(message).digest()


AROUND = [b"%s", b'{"iotName":"s","iotValue":%s}', b'{"iotName":"s","iotValue":36893488147419103232,"x":%s}']


def deep(chance: random.Random) -> bytes:
    """Nested as deep as it gets."""
    levels = chance.choice((100, 255, 900, 1000, 1024, 5000))
    inner = chance.choice((b"[" * levels + b"]" * levels, b'{"a":' * levels + b"1" + b"}" * levels, b"[" * levels))
    return (
        chance.choice(
            (b"%s", b'{"iotName":"s","iotValue":%s}', b'{"iotName":"s","iotValue":36893488147419103232,"x":%s}')
        )
        % inner
    )


PACKERS: list[Callable[[bytes], bytes]] = [gzip.compress, zlib.compress, zstandard.compress, base64.b64encode]
BOMBS = [
    *(pack(bytes(20_000_000)) for pack in PACKERS[:3]),
    *(gzip.compress(b"") * 3000, b'{"":[1}{' * 20_000, b"[\n" * 50_000),
]


def record(chance: random.Random, *, aggregates: bool = True) -> bytes:
    """The bytes of an arbitrary record."""
    kind = chance.random()
    if kind < 0.15:
        return chance.randbytes(chance.randrange(60))
    if kind < 0.6:
        return mutated(chance, text(chance))
    if kind < 0.75:
        return mutated(chance, chance.choice(PACKERS)(text(chance)))
    if kind < 0.8:
        return chance.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f\x8b", b"\x78\x9c", b"\x28\xb5\x2f\xfd")) + text(
            chance
        )
    if kind < 0.802:
        return deep(chance)
    if kind < 0.8021:
        return chance.choice(BOMBS)
    return aggregate(chance) if aggregates else text(chance)


def fuzz(count: int, seed: int) -> dict[str, object]:
    """Decode so many records; what came of them."""
    chance = random.Random(seed)
    outcomes: Counter[str] = Counter()
    slowest, exceptions, began = 0.0, 0, time.monotonic()
    for number in range(count):
        data = record(chance)
        clock = time.thread_time()
        try:
            users = user_records(Record(Position(number), "a", ARRIVAL, data), ALL_HASH_KEYS)
            decoded = DECODERS[number % 2].decode(users)
            reached = {*decoded.records, *(refusal.record for refusal in decoded.refusals)}
            assert reached == set(range(len(users))), "a record vanished"
            outcomes["readings"] += len(decoded.records)
            outcomes.update(refusal.code for refusal in decoded.refusals)
        except Exception as error:
            exceptions += 1
            print(f"{error!r}: {data[:200]!r}", file=sys.stderr)
        slowest = max(slowest, time.thread_time() - clock)
    return {
        "records": count,
        "exceptions": exceptions,
        "seconds": round(time.monotonic() - began, 1),
        "slowest_record_seconds": round(slowest, 3),
        "outcomes": dict(outcomes.most_common()),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(json.dumps(fuzz(arguments.count, arguments.seed)))
