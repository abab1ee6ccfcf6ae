"""Aggregates of the Kinesis Producer Library, against AWS's own aggregator and deaggregator."""

import base64
import hashlib

import pytest
from aws_kinesis_agg.aggregator import RecordAggregator
from aws_kinesis_agg.deaggregator import deaggregate_records
from hypothesis import given
from hypothesis import strategies as st

from service.pipeline.models import hash_key
from service.pipeline.records import ALL_HASH_KEYS, Position, Record
from service.source.aggregates import MAGIC, user_records

KEYS = st.integers(0, 2**128 - 1).map(str)
USER_RECORDS = st.lists(
    st.tuples(
        st.text(min_size=1, max_size=20).filter(str.strip), st.binary(min_size=1, max_size=300), st.none() | KEYS
    ),
    min_size=1,
    max_size=20,
)


def aggregate(users) -> bytes:
    aggregator = RecordAggregator()
    for key, data, explicit in users:
        aggregator.add_user_record(key, data, explicit)
    return aggregator.clear_and_get().get_contents()[2]


def signed(message: bytes) -> bytes:
    return MAGIC + message + hashlib.md5(message).digest()


def record(data: bytes) -> Record:
    return Record(Position(7), "key of the aggregate", 1000, data)


def by_oracle(data: bytes) -> list[tuple[int, str, bytes]]:
    """What AWS's deaggregator makes of it: sub-sequence numbers, partition keys and data."""
    kinesis = {
        "kinesisSchemaVersion": "1.0",
        "sequenceNumber": "7",
        "approximateArrivalTimestamp": 1.0,
        "partitionKey": "key of the aggregate",
        "data": base64.b64encode(data).decode(),
    }
    found = [user["kinesis"] for user in deaggregate_records([{"kinesis": kinesis}])]
    return [(one["subSequenceNumber"], one["partitionKey"], base64.b64decode(one["data"])) for one in found]


@given(USER_RECORDS)
def test_an_aggregate_is_taken_apart_as_aws_does_it(users):
    data = aggregate(users)
    found = user_records(record(data), ALL_HASH_KEYS)
    assert not any(user.other_shard for user in found)
    assert [(user.position.subsequence, user.partition_key, user.data) for user in found] == by_oracle(data)
    assert {user.position.sequence for user in found} == {7}
    assert {user.arrival for user in found} == {1000}


@given(USER_RECORDS, st.integers(0, 2**128 - 1), st.integers(0, 2**128 - 1))
def test_user_records_of_other_shards_are_marked(users, one, other):
    first, last = sorted((one, other))
    expected = [
        (number, key, not first <= (int(explicit) if explicit else hash_key(key)) <= last)
        for number, (key, _, explicit) in enumerate(users)  # the oracle lends user records others' explicit hash keys
    ]
    found = user_records(record(aggregate(users)), (first, last))
    assert [(user.position.subsequence, user.partition_key, user.other_shard) for user in found] == expected


def message(*users: bytes) -> bytes:
    """An aggregate of one partition key, ``a``."""
    return signed(b"\x0a\x01a" + b"".join(b"\x1a" + bytes([len(user)]) + user for user in users))


def test_what_an_encoder_leaves_out_is_zero_or_empty():
    found = user_records(record(message(b"\x1a\x01x", b"\x08\x00\x1a\x01y", b"\x08\x00", b"")), ALL_HASH_KEYS)
    assert [(user.partition_key, user.data) for user in found] == [("a", b"x"), ("a", b"y"), ("a", b""), ("a", b"")]


def test_a_partition_key_lies_at_its_md5():
    assert hash_key("DemoSensor") == int(hashlib.md5(b"DemoSensor").hexdigest(), 16)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b'{"iotName": "a", "iotValue": 1}',
        MAGIC,
        MAGIC + b"\0" * 16,
        signed(b""),  # an aggregate of nothing
        aggregate([("a", b"data", None)])[:-1] + b"\0",  # a wrong digest
        signed(b"\x1a\xff\xff\xff"),  # a length that never ends
        signed(b"\x1a\x7f"),  # a field longer than the message
        signed(b"\x1a\x02\x08\x00"),  # a user record without data
        signed(b"\x1a\x05\x08\x09\x1a\x01x"),  # a partition key that is not in the table
        signed(b"\x0a\x01\xff"),  # a partition key that is not UTF-8
        signed(b"\x08\x01"),  # an integer where the table should be
        signed(b"\x0b"),  # a wire type that nobody uses
        signed(b"\x80" * 300_000),  # an integer that never ends
        signed(b"\x0a\x01a\x1a\x0d\x08" + b"\xff" * 10 + b"\x01\x1a"),  # an integer of more than 64 bits
        message(b"\x08\x01\x1a\x01x"),  # a partition key beyond the table
        message(b"\x0a\x01x"),  # bytes for an index
        message(b"\x10\x00\x1a\x01x"),  # an explicit hash key that is not in the table
    ],
)
def test_what_is_no_aggregate_stays_a_plain_record(data):
    assert user_records(record(data), ALL_HASH_KEYS) == [record(data)]


@given(st.binary(max_size=200))
def test_no_message_however_broken_raises(message):
    assert all(user.position.sequence == 7 for user in user_records(record(signed(message)), ALL_HASH_KEYS))


@given(USER_RECORDS, st.data())
def test_no_aggregate_however_mutated_raises(users, data):
    mutated = bytearray(aggregate(users)[4:-16])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(mutated) - 1, 0)))
        mutated[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    found = user_records(record(signed(bytes(mutated))), ALL_HASH_KEYS)
    assert [user.position for user in found] == sorted({user.position for user in found})


def test_unknown_fields_are_skipped():
    data = aggregate([("a", b"data", None)])
    unknown = b"\x20\x96\x01" + b"\x29" + b"\0" * 8 + b"\x35" + b"\0" * 4  # a varint, 64 bits, 32 bits
    assert user_records(record(signed(data[4:-16] + unknown)), ALL_HASH_KEYS)[0].data == b"data"
